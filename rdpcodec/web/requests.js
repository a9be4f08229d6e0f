// What pages ask of the decoder, which works in a worker of its own.

import { readHeader } from "./decoder/container.js";
import { UsageError, WeightsError, unpacked } from "./decoder/errors.js";
import { startWorker } from "./decoder/places.js";

// A small file can claim many pixels, which take 4 bytes each, and seconds per megapixel.
const MAX_PIXELS = 100e6;

let worker = null;
const waiting = new Map(); // requests to the worker, by number
let asked = 0;

// Decode a file to an `ImageData`, not premultiplied. bytes: a Uint8Array, ArrayBuffer or Blob. realism: 0 to
// 1 in place of the file's default; region: [left, top, width, height] of the part to decode; maxPixels: the
// most pixels that the whole image may have. Rejects with `FormatError` for damaged and foreign files,
// `WeightsError` where the weights are missing, `UsageError` for options that are out of range.
export async function decode(bytes, options) {
  const { pixels, width, height } = await ask("pixels", bytes, options);
  return new ImageData(pixels, width, height);
}

// Like `decode`, but to a PNG in a Blob, with the file's ICC profile.
export async function decodeToPNG(bytes, options) {
  return (await ask("png", bytes, options)).png;
}

// What a file says about itself: size, width, height, quality (0..100), realism (0..1, the shortest decimal
// that is stored alike), and the fingerprint of the weights that it needs. bytes: a Uint8Array or ArrayBuffer. Raises `FormatError`, but ignores the
// checksum, and `UsageError` for anything else, such as a Blob.
export function info(bytes) {
  const given = arrayOf(bytes);
  if (!given) throw new UsageError("info takes a Uint8Array or an ArrayBuffer");
  const { size, fingerprint, quality, realism, width, height } = readHeader(given);
  return { size, fingerprint, quality: quality / 100, realism: decimalRealism(realism), width, height };
}

// 0.5 for 128/255. Encoders round halves to even.
function decimalRealism(realism) {
  const step = Math.round(realism * 255), most = step % 2 ? 0.5 - 1e-9 : 0.5;
  const shown = [1, 2, 3].map((decimals) => Number(realism.toFixed(decimals)));
  return shown.find((value) => Math.abs(value * 255 - step) <= most);
}

async function ask(want, file, { realism, region, maxPixels = MAX_PIXELS } = {}) {
  const bytes = await bytesOf(file), id = asked++;
  if (realism !== undefined && typeof realism !== "number") {
    throw new UsageError(`realism ${realism}: decoding takes a number`);
  }
  if (!(typeof maxPixels === "number" && maxPixels > 0)) {
    throw new UsageError(`maxPixels ${maxPixels}: it takes a number above 0`);
  }
  return new Promise((resolve, reject) => {
    const message = { id, want, bytes, options: { realism, region, maxPixels } };
    started().postMessage(message);
    waiting.set(id, { resolve, reject, message });
  });
}

function arrayOf(given) {
  if (given instanceof Uint8Array) return given;
  return given instanceof ArrayBuffer ? new Uint8Array(given) : null;
}

async function bytesOf(given) {
  const array = arrayOf(given);
  if (array) return array;
  if (given instanceof Blob) return new Uint8Array(await given.arrayBuffer());
  throw new UsageError("a file is given as a Uint8Array, an ArrayBuffer or a Blob");
}

function started() {
  if (worker) return worker;
  worker = startWorker();
  worker.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    for (const warning of result?.warnings ?? []) console.warn(`rdpcodec: ${warning}`);
    if (error) reject(unpacked(error));
    else resolve(result);
    if (error?.final) {
      worker.terminate();
      worker = null;
      for (const { message } of waiting.values()) started().postMessage(message);
    }
  };
  worker.onerror = (event) => {
    event.preventDefault();
    for (const { reject } of waiting.values()) reject(new WeightsError(`the decoder cannot be run: ${event.message ?? "it cannot be loaded"}`));
    waiting.clear();
    worker = null;
  };
  return worker;
}
