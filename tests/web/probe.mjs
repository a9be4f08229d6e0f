// Runs the decoder's modules on files, without a browser: node probe.mjs SITE WHAT FOLDER
//
// Prints JSON: for the name of each file in FOLDER a SHA-256, or the name of our error. Any other error ends
// the program. WHAT says what is hashed:
//   symbols: those of all tiles, as in tests/golden/symbols.json
//   pixels: RGBA, with all that the networks would draw left black
//   webp: RGBA, from the data of a VP8L chunk
//   png: gray levels
//   written: not hashed, but a PNG of RGBA, in base64
//   kept: not hashed, but how many numbers a prefix code over 2328 symbols keeps, before and after its first use

import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { inflateSync } from "node:zlib";

const [site, what, folder] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(join(site, "decoder", name)));
const { codedImage, readContainer } = await load("container.js");
const { CodedImage } = await load("decoder.js");
const { RdpError } = await load("errors.js");
const { readGray, writePNG } = await load("png.js");
const { decodeSymbols } = await load("symbols.js");
const { splitTiles, tileGrid } = await load("tiles.js");
const { BitReader } = await load("vp8l/bits.js");
const { decodeImage, headerOf } = await load("vp8l/image.js");
const { readPrefixCode } = await load("vp8l/prefix.js");
const { WeightsFolder } = await load("weights.js");

// Node 20 passes over bytes after the end of a compressed stream. By the Compression Standard they are an error, as they
// are in browsers.
globalThis.DecompressionStream = class extends TransformStream {
  constructor() {
    const pieces = [];
    super({
      transform: (piece) => void pieces.push(piece),
      flush(controller) {
        const bytes = Buffer.concat(pieces), { buffer, engine } = inflateSync(bytes, { info: true });
        if (engine.bytesWritten < bytes.length) throw new TypeError("bytes follow the end of the stream");
        controller.enqueue(new Uint8Array(buffer));
      },
    });
  }
};

const MAX_PIXELS = 2 ** 18; // as in tests/fuzz/coded.py
const weights = new WeightsFolder(async (name) => new Uint8Array(readFileSync(join(site, "weights", name))));

async function symbols(bytes, hash) {
  const file = readContainer(bytes), { header } = file;
  const model = await weights.modelFor(header), tiles = tileGrid(header.width, header.height).flat();
  for (const [number, coded] of splitTiles(codedImage(file), tiles.length).entries()) {
    const { hyper, tables, residual } = decodeSymbols(coded, tiles[number], header.quality, model);
    for (const { buffer } of [hyper, tables, residual]) hash.update(new Uint8Array(buffer));
  }
}

async function pixels(bytes, hash) {
  const image = new CodedImage(bytes), model = await weights.modelFor(image.container.header);
  const networks = {
    prepare() {},
    fromSymbols: async ({ residual }) => new Float32Array(residual.length),
    synthesise: async (_, { h, w }) => ({ data: new Float32Array(3 * 16 * h * 16 * w), h: 16 * h, w: 16 * w }),
  };
  const decoded = await image.decode(model, networks, { maxPixels: MAX_PIXELS });
  hash.update(decoded.pixels);
}

async function webp(bytes, hash) {
  headerOf(bytes);
  for (const pixel of decodeImage(bytes)) hash.update(Uint8Array.of(pixel >>> 16, pixel >>> 8, pixel, pixel >>> 24));
}

async function png(bytes, hash) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  hash.update(await readGray(bytes, { width: view.getUint32(16), height: view.getUint32(20) }));
}

// Takes raw RGBA, preceded by width and height, four bytes each.
async function written(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const [width, height] = [view.getUint32(0, true), view.getUint32(4, true)];
  const png = await writePNG({ pixels: bytes.subarray(8), width, height, alpha: true, profile: null });
  return Buffer.from(await png.arrayBuffer()).toString("base64");
}

async function kept(bytes) {
  const reader = new BitReader(bytes, bytes.length), code = readPrefixCode(reader, 2328);
  const numbers = () => Object.values(code).reduce((count, value) => count + (value?.length ?? 0), 0);
  const before = numbers();
  code.read(reader);
  return [before, numbers()];
}

const work = { symbols, pixels, webp, png, written, kept }[what];
const results = {};
for (const name of readdirSync(folder)) {
  const hash = createHash("sha256");
  try {
    const result = await work(new Uint8Array(readFileSync(join(folder, name))), hash);
    results[name] = result ?? hash.digest("hex");
  } catch (error) {
    if (!(error instanceof RdpError)) throw error;
    results[name] = error.name;
  }
}
console.log(JSON.stringify(results));
