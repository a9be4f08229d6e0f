// Whole images from tiles: each tile with the surroundings that the synthesis sees, so that there is no seam.
//
// Little of a large image is in memory at once: the latents of a few rows of tiles, and the work on one tile.

import { codedImage } from "./container.js";
import { addPart, cutPart, mixPart } from "./pixels.js";
import { blankSymbols, decodeSymbols } from "./symbols.js";
import { PATCH, grown, heightOf, partsOf, splitTiles, tileGrid, widthOf } from "./tiles.js";

// For images of up to this many pixels, both decodings are kept, 24 bytes per pixel: realism can then be
// turned without the networks.
export const KEPT_PIXELS = 2 ** 21;

export class Mosaic {
  // container: see container.js; model: see weights.js; exact: an `ExactLayer`. Raises `FormatError`.
  constructor(container, model, networks, exact) {
    const { width, height, quality } = container.header;
    Object.assign(this, { model, networks, exact, quality, size: { width, height } });
    const grid = tileGrid(width, height);
    this.across = grid[0].length;
    this.tiles = grid.flat();
    this.coded = splitTiles(codedImage(container), this.tiles.length);
    this.keeps = width * height <= KEPT_PIXELS;
    this.latents = new Map(); // by tile
    this.decodings = new Map(); // of whole tiles, by network and tile
  }

  // Draw a region, a box, at a realism 0..1 into `target`, its RGBA pixels. Alpha is left as it is. Raises
  // `FormatError`.
  async draw(target, region, realism) {
    const beta = this.model.hasRealism ? realism : 0;
    const parts = [...partsOf(region, this.tiles)];
    if (parts.some(({ number }) => !this.exact.covers(number))) this.networks.prepare(beta);
    for (const { number, part } of parts) {
      if (!this.exact.covers(number)) await this.drawDecoded(target, region, number, part, beta);
      this.exact.draw(target, region, number, part);
      if (!this.keeps) this.forget(number);
    }
    if (!this.keeps) this.latents.clear();
  }

  async drawDecoded(target, region, number, part, beta) {
    const fidelity = beta < 1 ? await this.decoding("synthesis", number, part) : null;
    const natural = beta > 0 ? await this.decoding("realism", number, part) : null;
    const mixed = fidelity && natural ? mixPart(fidelity, natural, beta) : (fidelity ?? natural);
    addPart(target, region, part, mixed);
  }

  // A part of a tile as a network, "synthesis" or "realism", decodes it: Float32Array `[3, h, w]`.
  async decoding(network, number, part) {
    const key = `${network} ${number}`, tile = this.tiles[number], known = this.decodings.get(key);
    if (known) return sameSize(part, tile) ? known : cutPart({ data: known, w: widthOf(tile) }, tile, part);
    const window = grown(part, this.model.margin, this.size);
    const x = await this.networks.synthesise(network, await this.gathered(window), this.quality);
    const decoded = cutPart(x, window, part);
    if (this.keeps && sameSize(part, tile)) this.decodings.set(key, decoded);
    return decoded;
  }

  // The latents of a box, gathered from its tiles: { data, h, w }, data Float32Array `[N, h, w]`.
  async gathered(box) {
    const h = Math.ceil(heightOf(box) / PATCH), w = Math.ceil(widthOf(box) / PATCH), channels = this.model.latents;
    const data = new Float32Array(channels * h * w);
    for (const { number, tile, part } of partsOf(box, this.tiles)) {
      const known = await this.latentsOf(number), across = Math.ceil(widthOf(tile) / PATCH);
      const down = Math.ceil(heightOf(tile) / PATCH);
      const [rows, columns] = [Math.ceil(heightOf(part) / PATCH), Math.ceil(widthOf(part) / PATCH)];
      const from = [(part.top - tile.top) / PATCH, (part.left - tile.left) / PATCH];
      const to = [(part.top - box.top) / PATCH, (part.left - box.left) / PATCH];
      for (let c = 0; c < channels; c++) {
        for (let i = 0; i < rows; i++) {
          const start = (c * down + from[0] + i) * across + from[1];
          data.set(known.subarray(start, start + columns), (c * h + to[0] + i) * w + to[1]);
        }
      }
    }
    return { data, h, w };
  }

  async latentsOf(number) {
    if (!this.latents.has(number)) {
      const tile = this.tiles[number], coded = this.coded[number];
      const blank = coded.length === 0 && this.exact.covers(number);
      const symbols = blank ? blankSymbols(tile, this.model) : decodeSymbols(coded, tile, this.quality, this.model);
      this.latents.set(number, await this.networks.fromSymbols(symbols, this.quality));
    }
    return this.latents.get(number);
  }

  // Forget the latents that no later tile looks at.
  forget(number) {
    for (const known of this.latents.keys()) {
      if (known <= number - this.across - 1) this.latents.delete(known);
    }
  }
}

// Whether two boxes, one of which contains the other, are the same.
function sameSize(a, b) {
  return widthOf(a) === widthOf(b) && heightOf(a) === heightOf(b);
}
