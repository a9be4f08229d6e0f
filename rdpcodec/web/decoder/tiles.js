// Where the tiles of an image lie (docs/format.md, section 2). A box has left, top, right and bottom in pixels.

import { readVarint } from "./container.js";
import { FormatError, UsageError } from "./errors.js";

const TILE = 1024;
export const PATCH = 16; // pixels of a latent, along each side
export const HYPER_FACTOR = 4; // latents of a hyper-latent, along each side
const GRID = PATCH * HYPER_FACTOR;

// The tiles of an image, row by row: an array of rows of boxes.
export function tileGrid(width, height) {
  const columns = stretches(width), rows = stretches(height);
  return rows.map(([top, bottom]) => columns.map(([left, right]) => ({ left, top, right, bottom })));
}

function stretches(length) {
  const side = GRID * Math.ceil(length / (GRID * Math.ceil(length / TILE)));
  const found = [];
  for (let start = 0; start < length; start += side) found.push([start, Math.min(start + side, length)]);
  return found;
}

// The part of a payload for each of `count` tiles. Raises `FormatError` when the lengths do not add up.
export function splitTiles(payload, count) {
  if (count === 1) return [payload];
  const lengths = [];
  let position = 0;
  for (let i = 0; i < count; i++) {
    const [length, next] = readVarint(payload, position);
    lengths.push(length);
    position = next;
  }
  const parts = lengths.map((length) => payload.subarray(position, (position += length)));
  if (position !== payload.length) {
    throw new FormatError("the lengths of the tiles do not add up to the coded image");
  }
  return parts;
}

export const widthOf = (box) => box.right - box.left;
export const heightOf = (box) => box.bottom - box.top;

// The tiles that a box meets: the number of each, the tile, and the part of it that is in the box.
export function* partsOf(box, tiles) {
  for (const [number, tile] of tiles.entries()) {
    const part = common(tile, box);
    if (part) yield { number, tile, part };
  }
}

// What two boxes have in common; null if nothing.
function common(a, b) {
  const box = {
    left: Math.max(a.left, b.left), top: Math.max(a.top, b.top),
    right: Math.min(a.right, b.right), bottom: Math.min(a.bottom, b.bottom),
  };
  return box.left < box.right && box.top < box.bottom ? box : null;
}

// A box with a margin within an image, beginning at multiples of 16 pixels: what the synthesis looks at.
export function grown(box, margin, { width, height }) {
  const start = (at) => Math.floor(Math.max(0, at - margin) / PATCH) * PATCH;
  return {
    left: start(box.left), top: start(box.top),
    right: Math.min(width, box.right + margin), bottom: Math.min(height, box.bottom + margin),
  };
}

// A region as users give it, left, top, width and height, or all of the image, as a box. Raises `UsageError`.
export function regionOf(region, { width, height }) {
  const given = region ?? [0, 0, width, height], [left, top, across, down] = Array.isArray(given) ? given : [];
  const whole = [left, top, across, down].every(Number.isInteger);
  if (!whole || left < 0 || top < 0 || across < 1 || down < 1 || left + across > width || top + down > height) {
    throw new UsageError(`region ${region} does not lie within the image, ${width}×${height} pixels`);
  }
  return { left, top, right: left + across, bottom: top + down };
}
