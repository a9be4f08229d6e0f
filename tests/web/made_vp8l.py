"""Lossless WebP (RFC 9649, section 3) that no encoder writes, but that all decoders should read alike."""

from __future__ import annotations

import random
from collections.abc import Sequence

# The order in which the lengths of the codes for lengths are stored.
_LENGTH_ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
# The lengths of a full code for all lengths and repeats.
_LENGTHS = {symbol: 4 if symbol < 13 else 5 for symbol in range(19)}
_LENGTH_CODES, _DISTANCE_CODES = 24, 40
_NEAR = 120  # distances up to here are places around the pixel
_LONGEST = 15


class Bits:
    """Bits in the order of the format, low ones first."""

    def __init__(self) -> None:
        self.digits: list[str] = []  # "0" and "1"

    def put(self, value: int, count: int) -> None:
        """Append a number of `count` bits."""
        self.digits.append(f"{value:0{count}b}"[::-1] if count else "")

    def bytes(self) -> bytes:
        """All of them, with zeros up to a whole byte."""
        digits = "".join(self.digits)
        return int("0" + digits[::-1], 2).to_bytes(-(-len(digits) // 8), "little")


class Code:
    """A prefix code: writes itself, and its symbols."""

    def __init__(self, lengths: dict[int, int]) -> None:
        """lengths: of the codes, by symbol."""
        self.lengths = lengths
        self._digits: dict[int, str] = {}  # of each symbol's code, first bit first
        code, before = 0, 0
        for symbol, length in sorted(lengths.items(), key=lambda item: (item[1], item[0])):
            code <<= length - before
            self._digits[symbol] = f"{code:0{length}b}"
            code, before = code + 1, length

    @property
    def symbols(self) -> list[int]:
        return list(self.lengths)

    def write(self, bits: Bits, symbol: int) -> None:
        """Append a symbol; the only one takes no bits."""
        if len(self.lengths) > 1:
            bits.digits.append(self._digits[symbol])

    def write_itself(self, bits: Bits, size: int) -> None:
        """Append the code, over `size` symbols: plainly if there are at most two below 256, or as lengths."""
        if len(self.lengths) <= 2 and max(self.lengths) < 256:
            put_symbols(bits, self.symbols)
            return
        bits.put(0, 1)
        bits.put(len(_LENGTH_ORDER) - 4, 4)
        for symbol in _LENGTH_ORDER:
            bits.put(_LENGTHS[symbol], 3)
        bits.put(0, 1)  # the lengths of all symbols follow
        for symbol in range(size):
            _CODE_OF_LENGTHS.write(bits, self.lengths.get(symbol, 0))


_CODE_OF_LENGTHS = Code(_LENGTHS)


def put_symbols(bits: Bits, symbols: Sequence[int]) -> None:
    """Append a code as its one or two symbols."""
    bits.put(1, 1)
    bits.put(len(symbols) - 1, 1)
    bits.put(1, 1)  # the first symbol has eight bits, as the second always has
    for symbol in symbols:
        bits.put(symbol, 8)


def head(bits: Bits, width: int, height: int, alpha: bool) -> None:
    """Append what VP8L data begins with."""
    bits.put(0x2F, 8)
    bits.put(width - 1, 14)
    bits.put(height - 1, 14)
    bits.put(alpha, 1)
    bits.put(0, 3)


def one_colour(
    cache_bits: int | None = None, green: Sequence[int] = (7,), distances: Sequence[int] = (0,)
) -> bytes:
    """2×1 pixels of one colour, with a colour cache of so many bits that is never used, and codes of these
    symbols.
    """
    bits = Bits()
    head(bits, 2, 1, alpha=False)
    bits.put(0, 1)  # no transform
    bits.put(cache_bits is not None, 1)
    if cache_bits is not None:
        bits.put(cache_bits, 4)
    bits.put(0, 1)  # one group of codes
    for symbols in (green, (9,), (11,), (255,), distances):
        put_symbols(bits, symbols)
    return bits.bytes()


def with_an_empty_entry() -> bytes:
    """4×1 pixels: a colour that enters entry 0 of the cache, then entries 1 and 0, then the colour again.
    Entry 1 is empty, and its 0 enters entry 0.
    """
    bits = Bits()
    head(bits, 4, 1, alpha=True)
    bits.put(0, 1)  # no transform
    bits.put(1, 1)
    bits.put(1, 4)
    bits.put(0, 1)  # one group of codes
    # The hash of RFC 9649, section 3.6.3, in one bit.
    green = next(g for g in range(256) if (0x1E35A7BD * (255 << 24 | g << 8) & 0xFFFFFFFF) >> 31 == 0)
    code = Code({green: 1, 280: 2, 281: 2})
    code.write_itself(bits, 282)
    for symbol in (0, 0, 255, 0):
        put_symbols(bits, [symbol])
    for symbol in (green, 281, 280, green):
        code.write(bits, symbol)
    return bits.bytes()


ODD = {
    **{f"a cache of {bits} bits": one_colour(bits) for bits in range(16)},
    "an empty entry": with_an_empty_entry(),
    "a symbol twice": one_colour(green=(9, 9)),
    "a falling pair": one_colour(green=(9, 8)),
    "one distance that exists": one_colour(distances=(3, 77)),
    "no distance that exists": one_colour(distances=(40,)),
}
"""Files on which decoders might disagree, by what is odd about them."""


class RandomImage:
    """VP8L data of random structure: transforms, caches, groups of codes, and tokens that use them all."""

    def __init__(self, generator: random.Random) -> None:
        self._random, self._bits = generator, Bits()

    def bytes(self) -> bytes:
        """One image of up to 40 pixels a side; now and then its structure is forbidden."""
        width, height = (self._random.randint(1, 40) for _ in range(2))
        head(self._bits, width, height, self._chance(0.7))
        across = width
        for kind in self._random.choices(range(4), k=self._random.randint(0, 2)):
            across = self._transform(kind, across, height)
        self._bits.put(0, 1)
        self._pixels(across, height, main=True)
        return self._bits.bytes()

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _transform(self, kind: int, width: int, height: int) -> int:
        """Append a transform; returns the width of what follows."""
        self._bits.put(1, 1)
        self._bits.put(kind, 2)
        if kind < 2:
            bits = self._random.randint(2, 9)
            self._bits.put(bits - 2, 3)
            self._pixels(-(-width >> bits), -(-height >> bits), main=False)
        elif kind == 3:
            colours = self._random.choice((1, 2, 3, 4, 9, 16, 17, 200))
            self._bits.put(colours - 1, 8)
            self._pixels(colours, 1, main=False)
            return -(-width // (8 if colours <= 2 else 4 if colours <= 4 else 2 if colours <= 16 else 1))
        return width

    def _pixels(self, width: int, height: int, main: bool) -> None:
        cache = self._random.choice((0, 1, 2, 5, 11))
        self._bits.put(cache > 0, 1)
        if cache:
            self._bits.put(cache, 4)
        bits, blocks = 14, [0]
        if main:
            grouped = self._chance(0.6)
            self._bits.put(grouped, 1)
            if grouped:
                bits = self._random.randint(2, 9)
                self._bits.put(bits - 2, 3)
                blocks = self._blocks(-(-width >> bits) * -(-height >> bits))
        sizes = (256 + _LENGTH_CODES + (1 << cache if cache else 0), 256, 256, 256, _DISTANCE_CODES)
        groups = []
        for _ in range(max(blocks) + 1):
            groups.append([self._code(size) for size in sizes])
            for code, size in zip(groups[-1], sizes, strict=True):
                code.write_itself(self._bits, size)
        self._tokens(width, height, groups, bits, blocks)

    def _blocks(self, count: int) -> list[int]:
        """Append the numbers of the blocks' groups; returns them."""
        self._bits.put(0, 1)  # no cache
        numbers = [self._random.choice((0, 1, 3, 6)) for _ in range(count)]
        green = Code({0: 2, 1: 2, 3: 2, 6: 2})
        green.write_itself(self._bits, 256 + _LENGTH_CODES)
        for _ in range(4):
            put_symbols(self._bits, [0])
        for number in numbers:
            green.write(self._bits, number)
        return numbers

    def _code(self, size: int) -> Code:
        """A full code of random depths for some of `size` symbols; seldom one that is not full."""
        count = min(self._random.choice((1, 1, 2, 2, 3, 5, 20, 300)), size)
        depths = [0] if count > 1 else [1]
        while len(depths) < count:
            depth = depths.pop(self._random.randrange(len(depths)))
            depths += [depth + 1] * 2 if depth < _LONGEST else [depth]
        if count > 2 and self._chance(0.003):
            depths[0] = min(depths[0] + self._random.choice((-1, 1)), _LONGEST) or 1
        return Code(dict(zip(self._random.sample(range(size), count), depths, strict=True)))

    def _tokens(
        self, width: int, height: int, groups: Sequence[Sequence[Code]], bits: int, blocks: Sequence[int]
    ) -> None:
        """Append tokens for all pixels: colours, copies, and entries of the cache."""
        at, across = 0, -(-width >> bits)
        while at < width * height:
            codes = groups[blocks[(at // width >> bits) * across + (at % width >> bits)]]
            symbol = self._random.choice(codes[0].symbols)
            codes[0].write(self._bits, symbol)
            if symbol < 256:
                for code in codes[1:4]:
                    code.write(self._bits, self._random.choice(code.symbols))
            if not 256 <= symbol < 256 + _LENGTH_CODES:
                at += 1
                continue
            at += self._number(symbol - 256, width * height - at)
            distance = self._random.choice(codes[4].symbols)
            codes[4].write(self._bits, distance)
            self._number(distance, at + _NEAR)

    def _number(self, prefix: int, limit: int) -> int:
        """Append the extra bits of a length or distance, up to `limit` if they can; returns the number."""
        if prefix < 4:
            return prefix + 1
        extra = (prefix - 2) >> 1
        least = ((2 + (prefix & 1)) << extra) + 1
        more = self._random.randint(0, max(0, min((1 << extra) - 1, limit - least)))
        self._bits.put(more, extra)
        return least + more
