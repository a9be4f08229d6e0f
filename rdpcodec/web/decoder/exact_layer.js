// Pixels that a file holds as they are (docs/format.md, sections 2.1 and 2.2): the exact layer, and the alpha channel.

import { FormatError } from "./errors.js";
import { eachRow } from "./pixels.js";
import { heightOf, splitTiles, widthOf } from "./tiles.js";
import { decodeImage, headerOf } from "./vp8l/image.js";

const OPAQUE = 0xff000000; // and above

export class ExactLayer {
  // payload: the segment's, or undefined where there is none; tiles: boxes. Raises `FormatError` unless each
  // tile's data says that it is lossless WebP of the tile's size.
  constructor(payload, tiles) {
    this.tiles = tiles;
    this.coded = payload ? splitTiles(payload, tiles.length) : tiles.map(() => new Uint8Array());
    this.headers = this.coded.map((bytes, number) => {
      if (bytes.length === 0) return null;
      const header = headerOf(bytes), tile = tiles[number];
      if (header.width !== widthOf(tile) || header.height !== heightOf(tile)) {
        throw new FormatError("the exact layer does not fit the image");
      }
      return header;
    });
  }

  // Whether the layer has all pixels of a tile.
  covers(number) {
    return this.headers[number]?.opaque ?? false;
  }

  // Put the layer's pixels of a part of a tile into `target`, RGBA of a region. Raises `FormatError`.
  draw(target, region, number, part) {
    if (!this.headers[number]) return;
    this.eachPixel(this.pixelsOf(number), region, number, part, (to, pixel) => {
      if (pixel < OPAQUE) return;
      target[to] = (pixel >>> 16) & 255;
      target[to + 1] = (pixel >>> 8) & 255;
      target[to + 2] = pixel & 255;
    });
  }

  // Put the layer's green into the alpha of a part of a tile. Raises `FormatError`.
  drawAlpha(target, region, number, part) {
    const pixels = this.headers[number] && this.pixelsOf(number);
    if (!pixels?.every((pixel) => pixel >= OPAQUE)) throw new FormatError("a tile of the alpha channel is missing");
    this.eachPixel(pixels, region, number, part, (to, pixel) => {
      target[to + 3] = (pixel >>> 8) & 255;
    });
  }

  // Call `work` for each of a tile's pixels in a part: where it belongs in the region's RGBA, and its ARGB.
  eachPixel(pixels, region, number, part, work) {
    const tile = this.tiles[number], width = widthOf(part);
    eachRow(region, part, (to, row) => {
      const from = (part.top - tile.top + row) * widthOf(tile) + part.left - tile.left;
      for (let i = 0; i < width; i++) work(to + 4 * i, pixels[from + i]);
    });
  }

  // A tile's pixels. Raises `FormatError` when some are neither opaque nor fully transparent.
  pixelsOf(number) {
    const pixels = decodeImage(this.coded[number]);
    for (const pixel of pixels) {
      if (pixel < OPAQUE && pixel >>> 24 !== 0) throw new FormatError("the exact layer has half-transparent pixels");
    }
    return pixels;
  }
}
