// The worker in which files are decoded, one at a time. It loads nothing but what lies beside it.
//
// It is sent { id, want, bytes, options } and answers { id, result } or { id, error }. want: "pixels" or "png".

import { CodedImage } from "./decoder.js";
import { WeightsError, packed } from "./errors.js";
import { Networks } from "./networks.js";
import { writePNG } from "./png.js";
import { WeightsFolder } from "./weights.js";

const ROOT = new URL("../", import.meta.url);
const KEPT_IMAGES = 2; // those used last, with what makes turning realism quick
const MOST_THREADS = 4;

const folder = new WeightsFolder((name) => fetched(new URL(`weights/${name}`, ROOT)));
const networks = new Map(); // by model
const images = []; // the last one used comes first
let runtime = null;
let queue = Promise.resolve();

self.onmessage = ({ data }) => {
  queue = queue.then(() => answer(data));
};

async function answer({ id, want, bytes, options }) {
  try {
    const found = await decode(bytes, options);
    const result = want === "png" ? { ...found, png: await writePNG(found), pixels: null } : found;
    self.postMessage({ id, result }, result.pixels ? [result.pixels.buffer] : []);
  } catch (error) {
    self.postMessage({ id, error: packed(error) });
  }
}

async function decode(bytes, options) {
  const image = opened(bytes);
  const [model, ort] = await Promise.all([folder.modelFor(image.container.header), loadedRuntime()]);
  if (!networks.has(model)) networks.set(model, new Networks(ort, model));
  return image.decode(model, networks.get(model), options);
}

function opened(bytes) {
  const known = images.findIndex((image) => equal(image.bytes, bytes));
  const image = known < 0 ? new CodedImage(bytes) : images.splice(known, 1)[0];
  images.unshift(image);
  images.length = Math.min(images.length, KEPT_IMAGES);
  return image;
}

function equal(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function loadedRuntime() {
  runtime ??= importRuntime().catch((error) => {
    runtime = null;
    throw new WeightsError(`onnxruntime-web cannot be loaded: ${error.message}`);
  });
  return runtime;
}

async function importRuntime() {
  const at = new URL("onnxruntime-web/", ROOT);
  const ort = await import(new URL("ort.wasm.min.mjs", at));
  ort.env.wasm.wasmPaths = at.href;
  // Threads share memory, which browsers allow to pages that are isolated from others.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  ort.env.logLevel = "error";
  return ort;
}

// The bytes of a file. Raises `WeightsError`.
async function fetched(url) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new WeightsError(`${url}: cannot be loaded: ${error.message}`);
  }
  if (!response.ok) throw new WeightsError(`${url}: cannot be loaded: status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
