// Parts of images: from the networks' numbers, float32 `[3, h, w]` in 0..1, to RGBA in a larger image.

import { heightOf, widthOf } from "./tiles.js";

// Adding this number rounds a float32 below 2^22 to an integer, halves to even.
const ROUNDER = 1.5 * 2 ** 23;

// A part, cut out of the decoded box around it, `[3, 16h, 16w]`.
export function cutPart({ data, w }, box, part) {
  const height = heightOf(part), width = widthOf(part), area = data.length / 3;
  const result = new Float32Array(3 * height * width);
  for (let c = 0, to = 0; c < 3; c++) {
    for (let y = 0; y < height; y++, to += width) {
      const start = c * area + (part.top - box.top + y) * w + part.left - box.left;
      result.set(data.subarray(start, start + width), to);
    }
  }
  return result;
}

// x(β) = fidelity + β · (realism - fidelity), each step in float32.
export function mixPart(fidelity, natural, beta) {
  const result = new Float32Array(fidelity.length), factor = Math.fround(beta), { fround } = Math;
  for (let i = 0; i < result.length; i++) {
    result[i] = fidelity[i] + fround(fround(natural[i] - fidelity[i]) * factor);
  }
  return result;
}

// Write a part into its place in `target`, RGBA of a region; alpha stays.
export function addPart(target, region, part, x) {
  const width = widthOf(part), area = width * heightOf(part);
  eachRow(region, part, (start, row) => {
    for (let i = 0; i < width; i++) {
      for (let c = 0; c < 3; c++) target[start + 4 * i + c] = level(x[c * area + row * width + i]);
    }
  });
}

// round(255 · clamp(x, 0, 1)), in float32 as in NumPy.
function level(x) {
  const { fround } = Math;
  return fround(fround(Math.min(1, Math.max(0, x)) * 255) + ROUNDER) - ROUNDER;
}

// Call `work` for each row of a part of a region: where it begins in the region's RGBA, and its number.
export function eachRow(region, part, work) {
  for (let row = 0; row < heightOf(part); row++) {
    work(4 * ((part.top - region.top + row) * widthOf(region) + part.left - region.left), row);
  }
}

// Replace the three channels of RGBA by their mean, rounded.
export function makeGray(target) {
  for (let i = 0; i < target.length; i += 4) {
    target.fill(Math.floor((target[i] + target[i + 1] + target[i + 2] + 1) / 3), i, i + 3);
  }
}
