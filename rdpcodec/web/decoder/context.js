// Hyper-latents whose tables three decoded neighbours choose, in integers (docs/format.md, section 3.1).

import { FormatError } from "./errors.js";
import { act, mix, rateBias, transposed } from "./scales.js";

const ENTER_SHIFT = 5, HIDDEN_SHIFT = 7, LEAVE_SHIFT = 9;
const ACTIVATION_LIMIT = 255, HYPER_LATENT_LIMIT = 127;
const FRACTIONS = 8, SCALES = 16;

export class ContextNetwork {
  // tensor: a function from the names of weights, without the prefix `context.`, to { data, shape }; tables: a
  // `TableFamily`.
  constructor(tensor, tables) {
    const layer = (name) => ({ weights: transposed(tensor(name)), bias: tensor(`${name}_bias`) });
    [this.enter, this.hidden, this.leave] = ["enter", "hidden", "leave"].map(layer);
    this.tables = tables;
  }

  // The hyper-latents of a tile from a `Decoder`, Int32Array `[M, hz, wz]`. Positions of equal row + column are
  // read together. quality: in hundredths. Raises `FormatError` for impossible values.
  read(decoder, channels, hz, wz, quality) {
    const enterBias = rateBias(this.enter.bias, quality), leaveBias = rateBias(this.leave.bias, quality);
    const hyper = new Int32Array(channels * hz * wz);
    for (let sum = 0; sum < hz + wz - 1; sum++) {
      const positions = diagonal(sum, hz, wz);
      let x = neighbours(hyper, positions, channels, hz, wz);
      x = act(mix(x, this.enter.weights, enterBias), ENTER_SHIFT, ACTIVATION_LIMIT);
      x = act(mix(x, this.hidden.weights, this.hidden.bias.data), HIDDEN_SHIFT, ACTIVATION_LIMIT);
      const { whole, numbers } = predictions(mix(x, this.leave.weights, leaveBias), channels);
      const residual = decoder.read(numbers, this.tables);
      for (const [n, [i, j]] of positions.entries()) {
        for (let c = 0; c < channels; c++) {
          const value = whole[n * channels + c] + residual[n * channels + c];
          if (Math.abs(value) > HYPER_LATENT_LIMIT) {
            throw new FormatError(`a hyper-latent lies beyond ±${HYPER_LATENT_LIMIT}`);
          }
          hyper[(c * hz + i) * wz + j] = value;
        }
      }
    }
    return hyper;
  }
}

// The positions [row, column] of a sum, from the top down.
function diagonal(sum, hz, wz) {
  const positions = [];
  for (let i = Math.max(0, sum - wz + 1); i < Math.min(hz, sum + 1); i++) positions.push([i, sum - i]);
  return positions;
}

// What the network sees of each position, `[positions, 3M]`: left, above, above on the left; zeros outside.
function neighbours(hyper, positions, channels, hz, wz) {
  const result = new Int32Array(positions.length * 3 * channels);
  let to = 0;
  for (const [i, j] of positions) {
    for (const [row, column] of [[i, j - 1], [i - 1, j], [i - 1, j - 1]]) {
      for (let c = 0; c < channels; c++, to++) {
        if (row >= 0 && column >= 0) result[to] = hyper[(c * hz + row) * wz + column];
      }
    }
  }
  return result;
}

// The network's sums `[positions, 2M]` → the whole parts of means and the numbers of tables, `[positions, M]`.
function predictions(sums, channels) {
  const positions = sums.length / (2 * channels), half = 1 << (LEAVE_SHIFT - 1);
  const limit = FRACTIONS * HYPER_LATENT_LIMIT;
  const whole = new Int32Array(positions * channels), numbers = new Uint8Array(positions * channels);
  for (let n = 0, to = 0; n < positions; n++) {
    for (let c = 0; c < channels; c++, to++) {
      const at = 2 * n * channels + c;
      const mean = Math.max(-limit, Math.min(limit, (sums[at] + half) >> LEAVE_SHIFT));
      const scale = Math.max(0, Math.min(SCALES - 1, (sums[at + channels] + half) >> LEAVE_SHIFT));
      whole[to] = Math.floor(mean / FRACTIONS);
      numbers[to] = scale * FRACTIONS + mean - FRACTIONS * whole[to];
    }
  }
  return { whole, numbers };
}
