// The bytes of an .rdpc file → pixels.

import { SEGMENT, checkPixels, readContainer } from "./container.js";
import { RdpError, UsageError } from "./errors.js";
import { ExactLayer } from "./exact_layer.js";
import { Mosaic } from "./mosaic.js";
import { makeGray } from "./pixels.js";
import { drawAlpha, profileOf } from "./side_data.js";
import { heightOf, regionOf, tileGrid, widthOf } from "./tiles.js";

// One file, opened and checked, with what one decoding leaves for the next.
export class CodedImage {
  // bytes: Uint8Array. Raises `FormatError`.
  constructor(bytes) {
    this.bytes = bytes;
    this.container = readContainer(bytes);
    const { header, segments } = this.container;
    this.tiles = tileGrid(header.width, header.height).flat();
    this.exact = new ExactLayer(segments.get(SEGMENT.EXACT), this.tiles);
  }

  // Decode the image, or a region: left, top, width and height. model: see weights.js; realism: 0..1, or
  // undefined for the file's own default; maxPixels: the most pixels that the whole image may have. Returns
  // { pixels, width, height, gray, alpha, profile, warnings }, pixels RGBA, not premultiplied, in a
  // Uint8ClampedArray. Raises `FormatError`, `UsageError`, `WeightsError`.
  async decode(model, networks, { realism, region, maxPixels }) {
    const { header, segments } = this.container, warnings = [];
    checkPixels(header.width, header.height, maxPixels);
    const beta = realism ?? header.realism, box = regionOf(region, header);
    if (!(beta >= 0 && beta <= 1)) throw new UsageError(`realism ${beta} is outside 0..1`);
    this.mosaic ??= new Mosaic(this.container, model, networks, this.exact);
    const pixels = blank(widthOf(box), heightOf(box));
    await this.mosaic.draw(pixels, box, beta);
    const gray = segments.has(SEGMENT.GRAY);
    if (gray || segments.has(SEGMENT.NEUTRAL)) makeGray(pixels);
    const alpha = await drawAlpha(pixels, box, this.container, this.tiles, warnings);
    const profile = await profileOf(this.container, warnings);
    return { pixels, width: widthOf(box), height: heightOf(box), gray, alpha, profile, warnings };
  }
}

// Black, opaque pixels.
function blank(width, height) {
  try {
    const pixels = new Uint8ClampedArray(4 * width * height);
    for (let i = 3; i < pixels.length; i += 4) pixels[i] = 255;
    return pixels;
  } catch (error) {
    throw new RdpError(`an image of ${width}×${height} pixels is too large for this browser: ${error.message}`);
  }
}
