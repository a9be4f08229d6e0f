// The four transforms of lossless WebP undone, in place (RFC 9649, section 3.5). Pixels are ARGB in a Uint32Array.

const BLACK = 0xff000000;

// Predictor: `modes`, pixels of a grid of blocks of 2^bits pixels a side, say how each pixel was predicted.
export function addPredictions(pixels, width, height, bits, modes) {
  const across = (width + (1 << bits) - 1) >> bits;
  pixels[0] = added(pixels[0], BLACK);
  for (let x = 1; x < width; x++) pixels[x] = added(pixels[x], pixels[x - 1]);
  for (let y = 1; y < height; y++) {
    const row = y * width, blocks = (y >> bits) * across;
    pixels[row] = added(pixels[row], pixels[row - width]);
    for (let x = 1; x < width; x++) {
      const at = row + x, above = at - width;
      const predict = PREDICTORS[(modes[blocks + (x >> bits)] >>> 8) & 15];
      // The pixel to the right of the last one above is the first of this row, as in memory.
      const value = predict(pixels[at - 1], pixels[above], pixels[above + 1], pixels[above - 1]);
      pixels[at] = added(pixels[at], value);
    }
  }
}

// Predictions from the pixels at the left, top, top right and top left.
const PREDICTORS = [
  () => BLACK,
  (l) => l,
  (l, t) => t,
  (l, t, tr) => tr,
  (l, t, tr, tl) => tl,
  (l, t, tr) => mean(mean(l, tr), t),
  (l, t, tr, tl) => mean(l, tl),
  (l, t) => mean(l, t),
  (l, t, tr, tl) => mean(tl, t),
  (l, t, tr) => mean(t, tr),
  (l, t, tr, tl) => mean(mean(l, tl), mean(t, tr)),
  (l, t, tr, tl) => nearer(l, t, tl),
  (l, t, tr, tl) => byChannel((a, b, c) => a + b - c, l, t, tl),
  (l, t, tr, tl) => byChannel((a, b) => a + Math.trunc((a - b) / 2), mean(l, t), tl, 0),
  () => BLACK,
  () => BLACK,
];

// Each channel added modulo 256.
function added(a, b) {
  const even = (a & 0x00ff00ff) + (b & 0x00ff00ff);
  const odd = ((a >>> 8) & 0x00ff00ff) + ((b >>> 8) & 0x00ff00ff);
  return ((even & 0x00ff00ff) | ((odd & 0x00ff00ff) << 8)) >>> 0;
}

// The mean of each channel, rounded down.
function mean(a, b) {
  return ((((a ^ b) & 0xfefefefe) >>> 1) + (a & b)) >>> 0;
}

function byChannel(of, a, b, c) {
  let result = 0;
  for (let shift = 0; shift < 32; shift += 8) {
    const value = of((a >>> shift) & 255, (b >>> shift) & 255, (c >>> shift) & 255);
    result |= Math.max(0, Math.min(255, value)) << shift;
  }
  return result >>> 0;
}

// Left or top, whichever is nearer to left + top - top left.
function nearer(l, t, tl) {
  let toLeft = 0, toTop = 0;
  for (let shift = 0; shift < 32; shift += 8) {
    const corner = (tl >>> shift) & 255;
    toLeft += Math.abs(((t >>> shift) & 255) - corner);
    toTop += Math.abs(((l >>> shift) & 255) - corner);
  }
  return toLeft < toTop ? l : t;
}

// Colour: `factors`, pixels of a grid of blocks, say how much of green is in red, and of both in blue.
export function addColours(pixels, width, height, bits, factors) {
  const across = (width + (1 << bits) - 1) >> bits;
  for (let y = 0, at = 0; y < height; y++) {
    const blocks = (y >> bits) * across;
    for (let x = 0; x < width; x++, at++) {
      const factor = factors[blocks + (x >> bits)], pixel = pixels[at];
      const green = signed(pixel >>> 8);
      const red = ((pixel >>> 16) + share(factor, green)) & 255;
      const blue = (pixel + share(factor >>> 8, green) + share(factor >>> 16, signed(red))) & 255;
      pixels[at] = ((pixel & 0xff00ff00) | (red << 16) | blue) >>> 0;
    }
  }
}

const signed = (value) => (value << 24) >> 24;
const share = (factor, channel) => (signed(factor) * channel) >> 5;

export function addGreen(pixels) {
  for (let i = 0; i < pixels.length; i++) {
    const pixel = pixels[i], green = (pixel >>> 8) & 255;
    const others = ((pixel & 0x00ff00ff) + ((green << 16) | green)) & 0x00ff00ff;
    pixels[i] = ((pixel & 0xff00ff00) | others) >>> 0;
  }
}

// Colour indexing: pixels, several to one where the palette is small, → `palette`'s colours, as a new array.
export function colours(packed, width, height, palette, bits) {
  const across = (width + (1 << bits) - 1) >> bits;
  const depth = 8 >> bits, mask = (1 << depth) - 1, within = (1 << bits) - 1;
  const pixels = new Uint32Array(width * height);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const green = (packed[y * across + (x >> bits)] >>> 8) & 255;
      pixels[at] = palette[(green >> ((x & within) * depth)) & mask] ?? 0;
    }
  }
  return pixels;
}

// A palette as it is stored, each colour minus the one before it, → the colours.
export function addUp(palette) {
  for (let i = 1; i < palette.length; i++) palette[i] = added(palette[i], palette[i - 1]);
  return palette;
}
