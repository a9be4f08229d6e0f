// Prefix codes of lossless WebP (RFC 9649, section 3.7.2): how they are stored, and tables that read them.

import { FormatError } from "../errors.js";

const ROOT_BITS = 8; // looked up at once; longer codes take a second look
const LONGEST = 15;
const LENGTH_ORDER = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
// Code lengths from 16 on are repeats: how often at least, and how many bits say how often more.
const REPEATS = { 16: [3, 2], 17: [3, 3], 18: [11, 7] };

// A prefix code, ready to read symbols. An entry of its table is symbol · 16 + length. In the root table, a
// length over the root's leads to a second table, which begins at the entry's symbol.
export class PrefixCode {
  // lengths: Uint8Array with the length of each symbol's code, 0 for none. Raises `FormatError` unless the
  // codes fill their space. A single symbol takes no bits.
  constructor(lengths) {
    const counts = new Int32Array(LONGEST + 1);
    for (const length of lengths) counts[length]++;
    const used = lengths.length - counts[0];
    if (used === 0) throw new FormatError("the exact layer has an empty prefix code");
    if (used === 1) {
      this.bits = 0;
      this.table = Int32Array.of(lengths.findIndex((length) => length > 0) * 16);
      return;
    }
    checkFilled(counts);
    this.bits = Math.min(counts.findLastIndex((count) => count > 0), ROOT_BITS);
    this.lengths = lengths;
    this.table = null; // made when the first symbol is read: few of 65536 groups of codes may be used
  }

  makeTable() {
    const { lengths } = this, codes = reversedCodes(lengths);
    this.table = new Int32Array(this.layOut(lengths, codes));
    this.fill(lengths, codes);
    delete this.lengths;
  }

  // The next symbol of a `BitReader`.
  read(reader) {
    if (!this.table) this.makeTable();
    const bits = reader.peek(), root = this.bits;
    let entry = this.table[bits & ((1 << root) - 1)];
    let length = entry & 15;
    if (length > root) {
      entry = this.table[(entry >> 4) + ((bits >> root) & ((1 << (length - root)) - 1))];
      length = entry & 15;
    }
    reader.skip(length);
    return entry >> 4;
  }

  // Where second tables lie: sets `links`, root index → entry, and returns how many entries there are.
  layOut(lengths, codes) {
    const deepest = new Map();
    const mask = (1 << this.bits) - 1;
    lengths.forEach((length, symbol) => {
      if (length <= this.bits) return;
      const root = codes[symbol] & mask;
      deepest.set(root, Math.max(deepest.get(root) ?? 0, length));
    });
    let size = 1 << this.bits;
    this.links = new Map();
    for (const [root, length] of deepest) {
      this.links.set(root, size * 16 + length);
      size += 1 << (length - this.bits);
    }
    return size;
  }

  fill(lengths, codes) {
    const root = this.bits, mask = (1 << root) - 1;
    for (const [index, link] of this.links) this.table[index] = link;
    lengths.forEach((length, symbol) => {
      if (length === 0) return;
      const code = codes[symbol];
      const link = length > root ? this.links.get(code & mask) : 0;
      const [start, first, depth, size] = link
        ? [link >> 4, code >> root, length - root, 1 << ((link & 15) - root)]
        : [0, code, length, 1 << root];
      for (let at = first; at < size; at += 1 << depth) this.table[start + at] = symbol * 16 + length;
    });
    delete this.links;
  }
}

// Raises `FormatError` unless codes of these lengths fill their space.
function checkFilled(counts) {
  let code = 0;
  for (let length = 1; length <= LONGEST; length++) {
    code = (code << 1) + counts[length];
    if (code > 1 << length) throw new FormatError("the exact layer has a prefix code that is too full");
  }
  if (code !== 1 << LONGEST) throw new FormatError("the exact layer has an incomplete prefix code");
}

// The canonical code of each symbol, its first bit lowest.
function reversedCodes(lengths) {
  const next = new Int32Array(LONGEST + 2);
  for (const length of lengths) if (length) next[length + 1]++;
  for (let length = 1; length <= LONGEST; length++) next[length] = (next[length - 1] + next[length]) << 1;
  return Int32Array.from(lengths, (length) => (length ? reversed(next[length]++, length) : 0));
}

function reversed(code, length) {
  let result = 0;
  for (let i = 0; i < length; i++) result |= ((code >> i) & 1) << (length - 1 - i);
  return result;
}

// The prefix code that a `BitReader` reads next, over `size` symbols.
export function readPrefixCode(reader, size) {
  const lengths = new Uint8Array(size);
  if (reader.read(1)) {
    const two = reader.read(1), wide = reader.read(1);
    // Symbols that do not exist have no code, as in libwebp.
    lengths[reader.read(wide ? 8 : 1)] = 1;
    if (two) lengths[reader.read(8)] = 1;
  } else {
    readLengths(reader, lengths);
  }
  return new PrefixCode(lengths);
}

function readLengths(reader, lengths) {
  const ofLengths = new Uint8Array(LENGTH_ORDER.length);
  const count = 4 + reader.read(4);
  for (let i = 0; i < count; i++) ofLengths[LENGTH_ORDER[i]] = reader.read(3);
  const code = new PrefixCode(ofLengths);
  let left = lengths.length;
  if (reader.read(1)) left = 2 + reader.read(2 + 2 * reader.read(3));
  if (left > lengths.length) throw new FormatError("the exact layer has a prefix code with too many symbols");
  let previous = 8;
  for (let at = 0; at < lengths.length && left > 0; left--) {
    const length = code.read(reader);
    if (length < 16) {
      lengths[at++] = length;
      if (length) previous = length;
      continue;
    }
    const [least, bits] = REPEATS[length];
    const times = least + reader.read(bits);
    if (at + times > lengths.length) throw new FormatError("the exact layer has a prefix code with too many symbols");
    if (length === 16) lengths.fill(previous, at, at + times);
    at += times;
  }
}
