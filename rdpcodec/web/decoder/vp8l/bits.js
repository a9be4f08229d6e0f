// Bits of lossless WebP, low ones first.

import { FormatError } from "../errors.js";

export class BitReader {
  // bytes: Uint8Array; length: how many there are, with zeros after them.
  constructor(bytes, length) {
    this.bytes = bytes;
    this.length = length;
    this.next = 0;
    this.window = 0; // bits that are read ahead, as a signed integer
    this.count = 0; // how many bits those are
  }

  // The next 15 bits without taking them; zeros beyond the end.
  peek() {
    while (this.count < 15) {
      this.window |= (this.bytes[this.next++] ?? 0) << this.count;
      this.count += 8;
    }
    return this.window & 0x7fff;
  }

  // Take `count` bits that were peeked at.
  skip(count) {
    this.window >>>= count;
    this.count -= count;
  }

  // An unsigned number of 0 to 18 bits.
  read(count) {
    while (this.count < count) {
      this.window |= (this.bytes[this.next++] ?? 0) << this.count;
      this.count += 8;
    }
    const value = this.window & ((1 << count) - 1);
    this.skip(count);
    return value;
  }

  // Raises `FormatError` when more bits were taken than there are.
  check() {
    if (this.next - (this.count >> 3) > this.length) throw new FormatError("the exact layer is truncated");
  }
}
