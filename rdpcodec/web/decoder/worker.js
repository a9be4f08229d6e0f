// The worker in which files are decoded, one at a time. It loads nothing but what lies beside it.
//
// It is sent { id, want, bytes, options } and answers { id, result } or { id, error }. want: "pixels" or "png".

import { CodedImage } from "./decoder.js";
import { WeightsError, packed } from "./errors.js";
import { Networks } from "./networks.js";
import { place } from "./places.js";
import { writePNG } from "./png.js";
import { Runtime } from "./runtime.js";
import { WeightsFolder, forgotten } from "./weights.js";

const KEPT_IMAGES = 2; // the images used last, with what makes turning realism quick

const folder = new WeightsFolder((name) => fetched(place(`weights/${name}`)));
const networks = new Map(); // by model
const images = []; // the last one used comes first
const loading = {};
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
  const [model, runtime] = await Promise.all([folder.modelFor(image.container.header), loadedRuntime()]);
  if (!networks.has(model)) networks.set(model, new Networks(runtime, model));
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
  loading.runtime ??= Runtime.load();
  return forgotten(loading, "runtime");
}

// The bytes of a file. Raises `WeightsError`.
async function fetched(url) {
  let response, bytes;
  try {
    response = await fetch(url);
    bytes = await response.arrayBuffer();
  } catch (error) {
    throw new WeightsError(`${url}: cannot be loaded: ${error.message}`);
  }
  if (!response.ok) throw new WeightsError(`${url}: cannot be loaded: status ${response.status}`);
  return new Uint8Array(bytes);
}
