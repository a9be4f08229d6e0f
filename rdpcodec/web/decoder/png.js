// PNG: images for <img> and for saving, and the alpha channel of files of version 1.
//
// A canvas can write PNG too, but without a profile, and in some browsers with noise against fingerprinting.

import { crc32 } from "./container.js";
import { FormatError } from "./errors.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const EIGHT_BIT_GRAY = [8, 0, 0, 0, 0]; // depth, colour type, compression, filter, no interlace
const TRUECOLOUR = 2, WITH_ALPHA = 4; // what a colour type is added up from
const SUB = 1, UP = 2;
const PIECE = 2 ** 12; // compressed bytes that are inflated at a time: up to 4 MB
const STRIP = 2 ** 20; // about how many bytes of rows are filtered at a time

// A PNG, as a Blob. pixels: RGBA, Uint8ClampedArray; gray: whether one channel says everything; alpha:
// whether alpha counts; profile: an ICC profile, or null.
export async function writePNG({ pixels, width, height, gray, alpha, profile }) {
  const channels = [...(gray ? [0] : [0, 1, 2]), ...(alpha ? [3] : [])], header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8);
  header.setUint8(9, (gray ? 0 : TRUECOLOUR) + (alpha ? WITH_ALPHA : 0));
  const parts = [Uint8Array.from(SIGNATURE), ...chunk("IHDR", new Uint8Array(header.buffer))];
  if (profile) {
    const name = new TextEncoder().encode("ICC profile\0\0");
    parts.push(...chunk("iCCP", joined([name, ...(await through(new CompressionStream("deflate"), [profile]))])));
  } else {
    parts.push(...chunk("sRGB", Uint8Array.of(0)));
  }
  const compressed = await through(new CompressionStream("deflate"), filtered(pixels, width, height, channels));
  for (const data of compressed) parts.push(...chunk("IDAT", data));
  return new Blob([...parts, ...chunk("IEND", new Uint8Array())], { type: "image/png" });
}

// Rows as PNG has them, strip by strip: each minus the row above.
function* filtered(pixels, width, height, channels) {
  const row = width * channels.length + 1, rows = Math.max(1, Math.floor(STRIP / row));
  for (let top = 0; top < height; top += rows) {
    const strip = new Uint8Array(row * Math.min(rows, height - top));
    for (let to = 0, y = top; to < strip.length; y++) {
      strip[to++] = y ? UP : SUB;
      const before = y ? 4 * width : 4;
      for (let x = 0, at = 4 * y * width; x < width; x++, at += 4) {
        for (const c of channels) strip[to++] = pixels[at + c] - (y || x ? pixels[at + c - before] : 0);
      }
    }
    yield strip;
  }
}

// Send pieces of bytes through a stream. Returns the pieces that come out.
async function through(stream, pieces) {
  const feed = async () => {
    const writer = stream.writable.getWriter();
    for (const piece of pieces) await writer.write(piece);
    await writer.close();
  };
  const collect = async () => {
    const found = [], reader = stream.readable.getReader();
    for (let next; !(next = await reader.read()).done; ) found.push(next.value);
    return found;
  };
  return (await Promise.all([collect(), feed()]))[0];
}

function chunk(name, data) {
  const head = new DataView(new ArrayBuffer(8)), tail = new DataView(new ArrayBuffer(4));
  head.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) head.setUint8(4 + i, name.charCodeAt(i));
  tail.setUint32(0, crc32(data, crc32(new Uint8Array(head.buffer, 4))));
  return [new Uint8Array(head.buffer), data, new Uint8Array(tail.buffer)];
}

function joined(pieces) {
  const result = new Uint8Array(pieces.reduce((total, piece) => total + piece.length, 0));
  let position = 0;
  for (const piece of pieces) {
    result.set(piece, position);
    position += piece.length;
  }
  return result;
}

// The inverse of zlib, for up to `limit` bytes. Raises `FormatError` for damaged data and for more.
export async function inflate(bytes, limit) {
  const stream = new DecompressionStream("deflate");
  const writer = stream.writable.getWriter(), reader = stream.readable.getReader();
  // The reader is also told what is wrong with the data.
  const feed = async () => {
    for (let at = 0; at < bytes.length; at += PIECE) await writer.write(bytes.subarray(at, at + PIECE));
    await writer.close();
  };
  feed().catch(() => {});
  const found = [];
  let length = 0;
  try {
    for (let next; !(next = await reader.read()).done; ) {
      found.push(next.value);
      length += next.value.length;
      if (length > limit) break;
    }
  } catch (error) {
    throw new FormatError(`compressed data is damaged: ${error.message}`);
  }
  if (length > limit) {
    reader.cancel().catch(() => {});
    throw new FormatError(`compressed data has more than ${limit} bytes`);
  }
  return joined(found);
}

// The gray levels, Uint8Array, of a PNG of the given size, as docs/format.md has it. Raises `FormatError`.
export async function readGray(bytes, { width, height }) {
  const chunks = readChunks(bytes), header = chunks[0].data;
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  const fits = header.length === 13 && view.getUint32(0) === width && view.getUint32(4) === height;
  if (!fits || EIGHT_BIT_GRAY.some((byte, i) => header[8 + i] !== byte)) {
    throw new FormatError("it is not a PNG of the image's size in 8-bit gray");
  }
  const data = joined(chunks.slice(1, -1).map((one) => one.data));
  const rows = await inflate(data, height * (width + 1));
  if (rows.length !== height * (width + 1)) throw new FormatError("the PNG is truncated");
  return unfiltered(rows, width, height);
}

function readChunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length), chunks = [];
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) throw new FormatError("it is not a PNG");
  for (let position = SIGNATURE.length; position < bytes.length; ) {
    const length = position + 12 <= bytes.length ? view.getUint32(position) : Infinity, end = position + 8 + length;
    if (end + 4 > bytes.length) throw new FormatError("the PNG is truncated");
    if (view.getUint32(end) !== crc32(bytes.subarray(position + 4, end))) {
      throw new FormatError("a checksum of the PNG does not match");
    }
    const name = String.fromCharCode(...bytes.subarray(position + 4, position + 8));
    chunks.push({ name, data: bytes.subarray(position + 8, end) });
    position = end + 4;
  }
  // Not a regular expression over all names: that of millions of chunks overflows the stack.
  const names = [chunks[0]?.name, chunks.at(-1)?.name], between = chunks.slice(1, -1);
  if (names[0] !== "IHDR" || names[1] !== "IEND" || !between.length || between.some((one) => one.name !== "IDAT")) {
    throw new FormatError("the PNG has other chunks than IHDR, IDAT and IEND");
  }
  return chunks;
}

// Undo the filters of rows of one byte per pixel (PNG, section 9.2).
function unfiltered(rows, width, height) {
  const pixels = new Uint8Array(width * height);
  for (let y = 0, from = 0, to = 0; y < height; y++) {
    const predict = FILTERS[rows[from++]];
    if (!predict) throw new FormatError("the PNG has a filter that does not exist");
    for (let x = 0; x < width; x++, to++) {
      const left = x ? pixels[to - 1] : 0, above = y ? pixels[to - width] : 0;
      pixels[to] = rows[from++] + predict(left, above, x && y ? pixels[to - width - 1] : 0);
    }
  }
  return pixels;
}

const FILTERS = [
  () => 0,
  (left) => left,
  (left, above) => above,
  (left, above) => (left + above) >> 1,
  (left, above, corner) => {
    const [toLeft, toAbove, toCorner] = [above - corner, left - corner, left + above - 2 * corner].map(Math.abs);
    if (toLeft <= toAbove && toLeft <= toCorner) return left;
    return toAbove <= toCorner ? above : corner;
  },
];
