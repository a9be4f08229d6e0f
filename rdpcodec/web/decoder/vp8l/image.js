// Lossless WebP, the data of a VP8L chunk → pixels (RFC 9649, section 3).
//
// Browsers have a decoder of their own, but a page reads its pixels through a canvas, which some browsers
// fill with noise against fingerprinting. An exact layer has to be exact, and bounded, everywhere.

import { FormatError } from "../errors.js";
import { BitReader } from "./bits.js";
import { readPrefixCode } from "./prefix.js";
import { addColours, addGreen, addPredictions, addUp, colours } from "./transforms.js";

const SIGNATURE = 0x2f;
const SIDE_BITS = 14;
const HEADER = 5; // bytes
const OPAQUE = 0xff000000;
const LENGTH_CODES = 24, DISTANCE_CODES = 40;
const CACHE_BITS = 11; // at most
const CACHE_FACTOR = 0x1e35a7bd;
// The 120 shortest distances lie around a pixel: rows up · 16 + 8 - columns to the right, in order of their codes.
const NEAR = bytesOf(
  "1807171928062729161a262a38053739151b363a252b48044749141c353b464a242c58454b343c035759131d565a232d" +
  "444c555b333d68026769121e666a222e545c434d656b323e78017779535d111f646c424e767a212f757b313f636d525e" +
  "00747c414f1020626e30737d515f40727e616f50717f6070",
);

function bytesOf(hexadecimal) {
  return Uint8Array.from(hexadecimal.match(/../g), (pair) => parseInt(pair, 16));
}

// What VP8L data says about itself: width, height, and whether all pixels are opaque. Raises `FormatError`.
export function headerOf(bytes) {
  if (bytes.length < HEADER) throw new FormatError("the exact layer is truncated");
  const bits = (bytes[1] | (bytes[2] << 8) | (bytes[3] << 16) | (bytes[4] << 24)) >>> 0;
  if (bytes[0] !== SIGNATURE || bits >>> (2 * SIDE_BITS + 1)) {
    throw new FormatError("the exact layer is not lossless WebP");
  }
  const side = (1 << SIDE_BITS) - 1;
  return {
    width: (bits & side) + 1,
    height: ((bits >>> SIDE_BITS) & side) + 1,
    opaque: !((bits >>> (2 * SIDE_BITS)) & 1),
  };
}

// Pixels, ARGB in a Uint32Array, row by row; opaque where the header says so, as in libwebp. Raises `FormatError`
// for damaged data.
export function decodeImage(bytes) {
  const { width, height, opaque } = headerOf(bytes);
  // A zero byte follows data of odd length, as in a WebP file.
  const reader = new BitReader(bytes.subarray(HEADER), bytes.length + (bytes.length % 2) - HEADER);
  const transforms = [];
  let across = width; // where a small palette packs pixels, fewer than the width
  while (reader.read(1)) {
    const transform = readTransform(reader, across, height);
    if (transforms.some(({ kind }) => kind === transform.kind)) {
      throw new FormatError("the exact layer repeats a transform");
    }
    transforms.push(transform);
    across = transform.packed ?? across;
  }
  let pixels = readPixels(reader, across, height, true);
  for (const { undo } of transforms.reverse()) pixels = undo(pixels) ?? pixels;
  return opaque ? pixels.map((pixel) => pixel | OPAQUE) : pixels;
}

// kind: 0 to 3; undo: a function of pixels, which changes them or returns others; packed: the width from here on.
function readTransform(reader, width, height) {
  const kind = reader.read(2);
  if (kind === 2) return { kind, undo: addGreen };
  if (kind === 3) {
    const palette = addUp(readPixels(reader, reader.read(8) + 1, 1, false));
    const bits = palette.length <= 2 ? 3 : palette.length <= 4 ? 2 : palette.length <= 16 ? 1 : 0;
    const undo = (pixels) => colours(pixels, width, height, palette, bits);
    return { kind, undo, packed: (width + (1 << bits) - 1) >> bits };
  }
  const bits = reader.read(3) + 2;
  const blocks = readBlocks(reader, width, height, bits);
  const add = kind === 0 ? addPredictions : addColours;
  return { kind, undo: (pixels) => add(pixels, width, height, bits, blocks) };
}

// One pixel for each block of 2^bits pixels a side.
function readBlocks(reader, width, height, bits) {
  const count = (side) => (side + (1 << bits) - 1) >> bits;
  return readPixels(reader, count(width), count(height), false);
}

// Entropy-coded pixels. main: the image itself, whose prefix codes may change from block to block.
function readPixels(reader, width, height, main) {
  const cacheBits = readCacheBits(reader);
  let bits = SIDE_BITS, blocks = Uint32Array.of(0); // one block
  if (main && reader.read(1)) {
    bits = reader.read(3) + 2;
    blocks = readBlocks(reader, width, height, bits).map((pixel) => (pixel >>> 8) & 0xffff);
  }
  const groups = [], used = new Set(blocks);
  const last = blocks.reduce((a, b) => Math.max(a, b), 0);
  const sizes = [256 + LENGTH_CODES + (cacheBits ? 1 << cacheBits : 0), 256, 256, 256, DISTANCE_CODES];
  for (let group = 0; group <= last; group++) {
    const codes = sizes.map((size) => readPrefixCode(reader, size));
    groups.push(used.has(group) ? codes : null);
    reader.check();
  }
  const pixels = new Uint32Array(width * height);
  decodePixels(reader, pixels, width, groups, cacheBits, { bits, blocks });
  return pixels;
}

// How many bits number the colours of the cache; 0 without one.
function readCacheBits(reader) {
  if (!reader.read(1)) return 0;
  const bits = reader.read(4);
  if (bits < 1 || bits > CACHE_BITS) {
    throw new FormatError(`the exact layer has a colour cache of ${bits} bits: expected 1 to ${CACHE_BITS}`);
  }
  return bits;
}

function decodePixels(reader, pixels, width, groups, cacheBits, { bits, blocks }) {
  const cache = new Uint32Array(cacheBits ? 1 << cacheBits : 0), across = (width + (1 << bits) - 1) >> bits;
  const keep = (pixel) => {
    if (cacheBits) cache[Math.imul(CACHE_FACTOR, pixel) >>> (32 - cacheBits)] = pixel;
  };
  for (let at = 0, x = 0, y = 0; at < pixels.length; ) {
    const codes = groups[blocks[(y >> bits) * across + (x >> bits)]];
    const symbol = codes[0].read(reader);
    let count = 1;
    if (symbol < 256) {
      const red = codes[1].read(reader), blue = codes[2].read(reader), alpha = codes[3].read(reader);
      keep((pixels[at] = ((alpha << 24) | (red << 16) | (symbol << 8) | blue) >>> 0));
    } else if (symbol < 256 + LENGTH_CODES) {
      count = readNumber(reader, symbol - 256);
      const from = at - distanceOf(readNumber(reader, codes[4].read(reader)), width);
      if (from < 0 || at + count > pixels.length) throw new FormatError("the exact layer copies from outside itself");
      for (let i = 0; i < count; i++) keep((pixels[at + i] = pixels[from + i]));
    } else {
      // This changes the cache only where the entry is still empty: its 0 enters entry 0.
      keep((pixels[at] = cache[symbol - 256 - LENGTH_CODES]));
    }
    at += count;
    x += count;
    if (x < width) continue;
    y += Math.floor(x / width);
    x %= width;
    reader.check();
  }
  reader.check();
}

// A length or distance: its prefix, and the extra bits that it asks for.
function readNumber(reader, prefix) {
  if (prefix < 4) return prefix + 1;
  const extra = (prefix - 2) >> 1;
  return ((2 + (prefix & 1)) << extra) + reader.read(extra) + 1;
}

function distanceOf(code, width) {
  if (code > NEAR.length) return code - NEAR.length;
  const place = NEAR[code - 1];
  return Math.max(1, (place >> 4) * width + 8 - (place & 15));
}
