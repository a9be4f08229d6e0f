// The .rdpc file: header, segments, checksum (docs/format.md, section 1).

import { FormatError } from "./errors.js";

const SIGNATURE = [0x52, 0x44, 0x50]; // RDP
const VERSION = 2; // the newest that is read
const FIXED = 12; // bytes before the size
const CHECKSUM = 4;
const SIZES = ["own", "fast", "base", "large"];
const MAX_SIDE = 65535;
const MAX_PIXELS = 2 ** 28;
const VARINT_BYTES = 5;

export const SEGMENT = { COLOUR: 1, GRAY: 3, ALPHA: 5, EXACT: 7, OPACITY: 9, ICC: 2, EXIF: 4, XMP: 6, NEUTRAL: 8 };
const NAMES = Object.fromEntries(Object.entries(SEGMENT).map(([name, kind]) => [kind, name]));
const IMAGES = [SEGMENT.COLOUR, SEGMENT.GRAY];

// What a file says about itself before its segments. bytes: Uint8Array. quality: in hundredths; realism:
// 0..1; fingerprint: of the weights, eight hexadecimal digits; end: where the segments begin. Raises
// `FormatError`.
export function readHeader(bytes) {
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) {
    throw new FormatError("not an .rdpc file: it does not begin with 'RDP'");
  }
  if (bytes.length < FIXED) throw new FormatError("the file ends within its header");
  const version = bytes[3], size = SIZES[bytes[4]], quality = bytes[9] | (bytes[10] << 8);
  if (version < 1 || version > VERSION) {
    throw new FormatError(`the file has format version ${version}, this decoder reads versions up to ${VERSION}: update it`);
  }
  if (!size) {
    throw new FormatError(`the file was made with networks of size ${bytes[4]}, which this decoder does not know: update it`);
  }
  if (quality > 10000) throw new FormatError(`the stored quality ${quality / 100} is outside 0..100`);
  const fingerprint = Array.from(bytes.subarray(5, 9), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const [width, position] = readVarint(bytes, FIXED);
  const [height, end] = readVarint(bytes, position);
  if (Math.min(width, height) < 1 || Math.max(width, height) > MAX_SIDE) {
    throw new FormatError(`an image of ${width}×${height} pixels: sides must be 1..${MAX_SIDE}`);
  }
  checkPixels(width, height, MAX_PIXELS);
  return { version, size, fingerprint, quality, realism: bytes[11] / 255, width, height, end };
}

// Raises `FormatError` for an image of more than `most` pixels.
export function checkPixels(width, height, most) {
  if (width * height > most) {
    throw new FormatError(`an image of ${width}×${height} pixels is over the limit of ${most < 1e6 ? `${most} pixels` : `${most / 1e6} megapixels`}`);
  }
}

// A whole file, checked: its header, and segments as Uint8Arrays by kind. Raises `FormatError`.
export function readContainer(bytes) {
  const header = readHeader(bytes), end = bytes.length - CHECKSUM;
  if (end < header.end || crc32(bytes.subarray(0, end)) !== readUint32(bytes, end)) {
    throw new FormatError("the checksum does not match: the file is truncated or damaged");
  }
  const segments = readSegments(bytes.subarray(0, end), header.end);
  const version = segments.has(SEGMENT.EXACT) || segments.has(SEGMENT.OPACITY) ? 2 : 1;
  if (header.version !== version) {
    throw new FormatError(`a file with these segments has version ${version} of the format`);
  }
  return { header, segments };
}

// The coded image of a container.
export function codedImage({ segments }) {
  return segments.get(SEGMENT.COLOUR) ?? segments.get(SEGMENT.GRAY);
}

function readSegments(bytes, position) {
  const segments = new Map();
  while (position < bytes.length) {
    const kind = bytes[position], [length, start] = readVarint(bytes, position + 1);
    if (length > bytes.length - start) {
      throw new FormatError(`segment ${kind} claims ${length} bytes, ${bytes.length - start} are left`);
    }
    position = start + length;
    if (!(kind in NAMES)) {
      if (kind % 2) throw new FormatError(`the file has a segment of kind ${kind}, which needs a newer decoder`);
      continue;
    }
    if (segments.has(kind)) throw new FormatError(`the file has two segments of kind ${NAMES[kind]}`);
    if (IMAGES.includes(kind) && position !== bytes.length) {
      throw new FormatError("the coded image is not the last segment");
    }
    segments.set(kind, bytes.subarray(start, position));
  }
  if (!IMAGES.some((kind) => segments.has(kind))) throw new FormatError("the file has no coded image");
  return segments;
}

// Unsigned LEB128: the value, and the position after it. Every number has one spelling.
export function readVarint(bytes, position) {
  let value = 0;
  for (let count = 0; count < VARINT_BYTES; count++) {
    if (position + count >= bytes.length) throw new FormatError("the file ends within a number");
    const byte = bytes[position + count];
    value += (byte & 127) * 2 ** (7 * count);
    if (byte < 128) {
      if (count && byte === 0) break;
      return [value, position + count + 1];
    }
  }
  throw new FormatError("the file holds a malformed number");
}

export function readUint32(bytes, position) {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(position, true);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let i = 0; i < 8; i++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

// CRC-32 as in PNG and zlib; `before`: the CRC-32 of the bytes that came before.
export function crc32(bytes, before = 0) {
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ bytes[i]) & 255];
  return ~crc >>> 0;
}
