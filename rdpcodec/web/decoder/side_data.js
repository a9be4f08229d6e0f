// What a file carries beside the coded image: the alpha channel and an ICC profile.
//
// A damaged segment never costs the image: it is left out, and a warning says so. EXIF and XMP are not read:
// their orientation is applied to the pixels before these are coded.

import { SEGMENT } from "./container.js";
import { FormatError } from "./errors.js";
import { ExactLayer } from "./exact_layer.js";
import { eachRow } from "./pixels.js";
import { inflate, readGray } from "./png.js";
import { partsOf } from "./tiles.js";

const METADATA_LIMIT = 2 ** 24;
const PROFILE_HEADER = 128;

// Put the alpha channel of a region, a box, into `target`, its RGBA pixels. Returns whether there is one.
export async function drawAlpha(target, region, { header, segments }, tiles, warnings) {
  try {
    if (segments.has(SEGMENT.OPACITY)) {
      const layer = new ExactLayer(segments.get(SEGMENT.OPACITY), tiles);
      for (const { number, part } of partsOf(region, tiles)) layer.drawAlpha(target, region, number, part);
      return true;
    }
    if (segments.has(SEGMENT.ALPHA)) {
      const alpha = await readGray(segments.get(SEGMENT.ALPHA), header);
      eachRow(region, region, (to, row) => {
        const from = (region.top + row) * header.width + region.left;
        for (let i = 0; i < region.right - region.left; i++) target[to + 4 * i + 3] = alpha[from + i];
      });
      return true;
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    warnings.push(`the alpha channel is left out: ${error.message}`);
    for (let i = 3; i < target.length; i += 4) target[i] = 255;
  }
  return false;
}

// The ICC profile that describes the pixels, Uint8Array, or null.
export async function profileOf({ segments }, warnings) {
  if (!segments.has(SEGMENT.ICC)) return null;
  const space = segments.has(SEGMENT.GRAY) ? "GRAY" : "RGB ";
  try {
    const profile = await inflate(segments.get(SEGMENT.ICC), METADATA_LIMIT);
    const word = (start) => String.fromCharCode(...profile.subarray(start, start + 4));
    if (profile.length < PROFILE_HEADER || word(36) !== "acsp" || word(16) !== space) {
      throw new FormatError(`it is no profile of ${space.trim()}`);
    }
    return profile;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    warnings.push(`the ICC profile is left out: ${error.message}`);
    return null;
  }
}
