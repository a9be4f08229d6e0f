// Entropy decoding: bytes → integers, by ANS with a state of 64 bits and integer tables (docs/format.md, section 5).

import { readUint32 } from "./container.js";
import { FormatError } from "./errors.js";

const PRECISION = 24;
const MASK = 2 ** PRECISION - 1;
const ESCAPE_SHIFT = 8; // 16 uniform bits: a frequency of 2^8 each
const ESCAPE_LIMIT = 32768;
const WORD = 2 ** 32;
const SLOT_BITS = 14; // bits of a quantile that a slot of a table's index leaves out: 1024 slots

// Tables over the integers -reach..reach and, in a family with escapes, one more symbol.
export class TableFamily {
  // frequencies, reach: Int32Arrays, as docs/format.md has them.
  constructor(frequencies, reach, escape) {
    this.escape = escape;
    this.tables = [];
    let start = 0;
    for (const most of reach) {
      const length = 2 * most + 1 + escape;
      this.tables.push({ reach: most, frequencies: frequencies.subarray(start, start + length) });
      start += length;
    }
  }

  // A table with its index of symbols: ends, cumulated frequencies, and slots, the first symbol of each slot.
  table(number) {
    const table = this.tables[number];
    if (table.ends) return table;
    table.ends = Uint32Array.from(table.frequencies);
    for (let i = 1; i < table.ends.length; i++) table.ends[i] += table.ends[i - 1];
    table.slots = new Uint16Array(1 << (PRECISION - SLOT_BITS));
    for (let slot = 0, symbol = 0; slot < table.slots.length; slot++) {
      while (table.ends[symbol] <= slot << SLOT_BITS) symbol++;
      table.slots[slot] = symbol;
    }
    return table;
  }
}

export class Decoder {
  // data: Uint8Array. Raises `FormatError` if it cannot be coded data.
  constructor(data) {
    if (data.length % 4) throw new FormatError("coded data is not a whole number of 32-bit words");
    this.data = data;
    this.position = data.length;
    this.low = this.word();
    this.high = 0; // the state is high · 2^32 + low
    if (data.length && this.low === 0) throw new FormatError("coded data ends in an empty word");
    this.refill();
  }

  // Values, Int32Array, one for each of `tables`, Uint8Array or Uint16Array. Symbols are grouped by table.
  read(tables, family) {
    const { order, starts } = grouped(tables, family.tables.length);
    const values = new Int32Array(tables.length);
    for (let number = 0; number < family.tables.length; number++) {
      const start = starts[number], end = starts[number + 1];
      if (start < end) this.readGroup(values, order.subarray(start, end), family.table(number), family.escape);
    }
    return values;
  }

  // Raises `FormatError` unless everything was read.
  finish() {
    if (this.low || this.high || this.position) {
      throw new FormatError("coded data does not end where the image ends");
    }
  }

  readGroup(values, places, { reach, frequencies, ends, slots }, escape) {
    const escaped = [];
    for (const place of places) {
      const quantile = this.low & MASK;
      let symbol = slots[quantile >>> SLOT_BITS];
      while (ends[symbol] <= quantile) symbol++;
      const frequency = frequencies[symbol];
      this.advance(frequency, quantile - (ends[symbol] - frequency));
      values[place] = symbol - reach;
      if (escape && symbol === 2 * reach + 1) escaped.push(place);
    }
    for (const place of escaped) {
      const quantile = this.low & MASK;
      this.advance(1 << ESCAPE_SHIFT, quantile & ((1 << ESCAPE_SHIFT) - 1));
      values[place] = (quantile >>> ESCAPE_SHIFT) - ESCAPE_LIMIT;
    }
  }

  // state = ⌊state / 2^24⌋ · frequency + offset, in two numbers below 2^53.
  advance(frequency, offset) {
    const middle = ((this.low >>> PRECISION) | ((this.high & 0xffff) << 8)) >>> 0;
    const top = (this.high >>> 16) * frequency;
    const sum = (top % 256) * 2 ** PRECISION + middle * frequency + offset;
    this.low = sum % WORD;
    this.high = Math.floor(top / 256) + Math.floor(sum / WORD);
    this.refill();
  }

  refill() {
    if (this.high === 0 && this.position) {
      this.high = this.low;
      this.low = this.word();
    }
  }

  // The next word from the end; zero where there is none.
  word() {
    if (this.position === 0) return 0;
    this.position -= 4;
    return readUint32(this.data, this.position);
  }
}

// Positions ordered by table, and where each table's positions begin.
function grouped(tables, count) {
  const starts = new Int32Array(count + 1);
  for (let i = 0; i < tables.length; i++) starts[tables[i] + 1]++;
  for (let t = 0; t < count; t++) starts[t + 1] += starts[t];
  const order = new Int32Array(tables.length), next = starts.slice();
  for (let i = 0; i < tables.length; i++) order[next[tables[i]]++] = i;
  return { order, starts };
}
