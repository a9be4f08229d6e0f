// Prefix codes of lossless WebP (RFC 9649, section 3.7.2): how they are stored, and tables that read them.
//
// A small file may have 65536 groups of five codes each, over up to 2328 symbols. So memory and work depend on
// the symbols that a code uses, not on those that it might use.

import { FormatError } from "../errors.js";

const ROOT_BITS = 8; // looked up at once; longer codes take a second look
const LONGEST = 15;
const LENGTH_ORDER = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
// Code lengths from 16 on are repeats: how often at least, and how many bits say how often more.
const REPEATS = { 16: [3, 2], 17: [3, 3], 18: [11, 7] };
const REVERSED = Uint8Array.from({ length: 256 }, (_, byte) => { // the bits of each byte in reverse
  let result = 0;
  for (let bit = 0; bit < 8; bit++) result |= ((byte >> bit) & 1) << (7 - bit);
  return result;
});

// A prefix code, ready to read symbols. An entry of its table is symbol · 16 + length. In the root table, a
// length over the root's leads to a second table, which begins at the entry's symbol. 16 bits hold an entry:
// there are 2328 symbols at most, and their table has 2704 entries at most (libwebp, kTableSize).
export class PrefixCode {
  // used: an entry for each symbol that has a code, in rising order. Raises `FormatError` unless the codes
  // fill their space. A single symbol takes no bits.
  constructor(used) {
    const entries = Uint16Array.from(used.length === 1 ? [used[0] & ~15] : used);
    this.bits = Math.min(checkedLongest(entries), ROOT_BITS);
    // Up to two symbols are a table as they stand. More are laid out when the first one is read: few of the
    // groups of codes may be used.
    this.used = entries.length > 2 ? entries : null;
    this.table = entries.length > 2 ? null : entries;
  }

  // The next symbol of a `BitReader`.
  read(reader) {
    if (this.used) {
      this.table = tableOf(this.used, this.bits);
      this.used = null;
    }
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
}

// The length of the longest code. Raises `FormatError` unless the codes fill their space.
function checkedLongest(used) {
  if (used.length === 0) throw new FormatError("the exact layer has an empty prefix code");
  if (used.length === 1) return 0;
  const counts = countsOf(used);
  let code = 0;
  for (let length = 1; length <= LONGEST; length++) {
    code = (code << 1) + counts[length];
    if (code > 1 << length) throw new FormatError("the exact layer has a prefix code that is too full");
  }
  if (code !== 1 << LONGEST) throw new FormatError("the exact layer has an incomplete prefix code");
  return counts.findLastIndex((count) => count > 0);
}

// How many codes have each length.
function countsOf(used) {
  const counts = new Int32Array(LONGEST + 1);
  for (const entry of used) counts[entry & 15]++;
  return counts;
}

// The table that reads codes, with `root` bits at first.
function tableOf(used, root) {
  const codes = reversedCodes(used), mask = (1 << root) - 1;
  const deepest = new Uint8Array(1 << root); // the longest code that begins with these bits
  for (let i = 0; i < used.length; i++) {
    const start = codes[i] & mask, length = used[i] & 15;
    if (length > deepest[start]) deepest[start] = length;
  }
  let size = 1 << root;
  const links = new Uint16Array(size);
  for (let start = 0; start <= mask; start++) {
    if (deepest[start] <= root) continue;
    links[start] = size * 16 + deepest[start];
    size += 1 << (deepest[start] - root);
  }
  const table = new Uint16Array(size);
  table.set(links);
  for (let i = 0; i < used.length; i++) {
    const code = codes[i], length = used[i] & 15, link = links[code & mask];
    // Where the bits after the code may be anything, its entry stands once for each.
    const start = link >> 4, skipped = link ? root : 0, end = start + (1 << ((link ? link & 15 : root) - skipped));
    for (let at = start + (code >> skipped); at < end; at += 1 << (length - skipped)) table[at] = used[i];
  }
  return table;
}

// The canonical code of each symbol, its first bit lowest.
function reversedCodes(used) {
  const counts = countsOf(used), next = new Int32Array(LONGEST + 1), codes = new Uint16Array(used.length);
  for (let length = 1; length <= LONGEST; length++) next[length] = (next[length - 1] + counts[length - 1]) << 1;
  for (let i = 0; i < used.length; i++) {
    const length = used[i] & 15, code = next[length]++;
    codes[i] = ((REVERSED[code & 255] << 8) | REVERSED[code >> 8]) >> (16 - length);
  }
  return codes;
}

// The prefix code that a `BitReader` reads next, over `size` symbols.
export function readPrefixCode(reader, size) {
  return new PrefixCode(reader.read(1) ? readSymbols(reader, size) : readLengths(reader, size));
}

// One or two symbols, as they are: entries of a `PrefixCode`.
function readSymbols(reader, size) {
  const two = reader.read(1), wide = reader.read(1);
  const symbols = [reader.read(wide ? 8 : 1)];
  if (two) symbols.push(reader.read(8));
  // Symbols that do not exist have no code, as in libwebp.
  const existing = [...new Set(symbols)].filter((symbol) => symbol < size);
  return existing.sort((a, b) => a - b).map((symbol) => symbol * 16 + 1);
}

// Code lengths of the symbols in turn, themselves in a prefix code: entries of a `PrefixCode`.
function readLengths(reader, size) {
  const code = new PrefixCode(readLengthLengths(reader)), used = [];
  let left = size;
  if (reader.read(1)) left = 2 + reader.read(2 + 2 * reader.read(3));
  if (left > size) throw new FormatError("the exact layer has a prefix code with too many symbols");
  let previous = 8;
  for (let at = 0; at < size && left > 0; left--) {
    const length = code.read(reader);
    if (length < 16) {
      if (length) used.push(at * 16 + (previous = length));
      at++;
      continue;
    }
    const [least, bits] = REPEATS[length], end = at + least + reader.read(bits);
    if (end > size) throw new FormatError("the exact layer has a prefix code with too many symbols");
    if (length === 16) while (at < end) used.push(at++ * 16 + previous);
    at = end;
  }
  return used;
}

// The lengths of the codes for lengths: entries of a `PrefixCode`.
function readLengthLengths(reader) {
  const count = 4 + reader.read(4), lengths = LENGTH_ORDER.slice(0, count).map((of) => of * 16 + reader.read(3));
  return lengths.filter((entry) => entry & 15).sort((a, b) => a - b);
}
