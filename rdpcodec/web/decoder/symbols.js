// The symbols of a tile: the integers that a file holds (docs/format.md, section 2).

import { Decoder } from "./entropy.js";
import { HYPER_FACTOR, PATCH, heightOf, widthOf } from "./tiles.js";

// The sizes of a tile's arrays: latents `[N, height, width]`, hyper-latents `[M, hz, wz]`.
export function shapeOf(tile) {
  const height = Math.ceil(heightOf(tile) / PATCH), width = Math.ceil(widthOf(tile) / PATCH);
  return { height, width, hz: Math.ceil(height / HYPER_FACTOR), wz: Math.ceil(width / HYPER_FACTOR) };
}

// A tile's symbols: hyper, Int32Array `[M, hz, wz]`; tables, Uint8Array, and residual, Int32Array, `[N, height,
// width]`. coded: Uint8Array; quality in hundredths; model: see weights.js. Raises `FormatError` when the data
// does not fit.
export function decodeSymbols(coded, tile, quality, model) {
  const shape = shapeOf(tile), { hz, wz, height, width } = shape;
  const decoder = new Decoder(coded);
  const hyper = model.contextNetwork
    ? model.contextNetwork.read(decoder, model.hyperLatents, hz, wz, quality)
    : decoder.read(hyperTables(model.hyperLatents, hz * wz, quality), model.hyperTables);
  const tables = model.scaleNetwork.tables(hyper, hz, wz, quality, height, width);
  const residual = decoder.read(tables, model.latentTables);
  decoder.finish();
  return { shape, hyper, tables, residual };
}

// The table of each hyper-latent: its channel's in the bank of the nearest knot.
function hyperTables(channels, positions, quality) {
  const bank = Math.floor((quality * 7 + 5000) / 10000);
  return Uint16Array.from({ length: channels * positions }, (_, i) => bank * channels + Math.floor(i / positions));
}

// The symbols of a tile without data, all of whose pixels are in the exact layer: zeros.
export function blankSymbols(tile, model) {
  const shape = shapeOf(tile), { hz, wz, height, width } = shape;
  const hyper = new Int32Array(model.hyperLatents * hz * wz);
  return { shape, hyper, residual: new Int32Array(model.latents * height * width) };
}
