// The integer path: hyper-latents → the table of every residual, in integers (docs/format.md, section 3).
//
// All sums stay below 2^24, as is proved when weights are exported, so 32-bit integers hold them. Arrays are
// kept position by position, channels last: a sum over channels then skips the zeros of its input.

const ENTER_SHIFT = 3, HIDDEN_SHIFT = 6, LEAVE_SHIFT = 8;
const ACTIVATION_LIMIT = 255, INDEX_LIMIT = 63;
const QUALITY_FULL = 10000;

export class ScaleNetwork {
  // tensor: a function from the names of weights, without the prefix `scale.`, to { data, shape }.
  constructor(tensor) {
    const layer = (name, bias) => ({ weights: transposed(tensor(name)), bias: tensor(bias) });
    this.enter = layer("enter", "enter_bias");
    this.widen = [0, 1].map((i) => layer(`widen.${i}`, `widen_bias.${i}`));
    this.filters = [0, 1, 2].map((i) => tensor(`filters.${i}`).data);
    this.leave = layer("leave", "leave_bias");
  }

  // hyper: Int32Array `[M, hz, wz]`, quality in hundredths → Uint8Array `[N, height, width]`, 0..63.
  tables(hyper, hz, wz, quality, height, width) {
    const channels = hyper.length / (hz * wz);
    let [h, w] = [hz, wz];
    const biased = ({ bias }) => rateBias(bias, quality);
    let x = channelsLast(hyper, channels);
    x = act(mix(x, this.enter.weights, biased(this.enter)), ENTER_SHIFT, ACTIVATION_LIMIT);
    for (const [i, { weights, bias }] of this.widen.entries()) {
      x = act(filter(x, this.filters[i], h, w), HIDDEN_SHIFT, ACTIVATION_LIMIT);
      x = act(mix(x, weights, bias.data), HIDDEN_SHIFT, ACTIVATION_LIMIT);
      x = shuffle(x, h, w);
      [h, w] = [2 * h, 2 * w];
    }
    x = act(filter(x, this.filters[2], h, w), HIDDEN_SHIFT, ACTIVATION_LIMIT);
    x = act(mix(x, this.leave.weights, biased(this.leave)), LEAVE_SHIFT, INDEX_LIMIT);
    return cropped(x, h, w, height, width);
  }
}

// The bias at a quality in hundredths: linear between the rows of a table `[8, C]`, rounded half up.
export function rateBias({ data, shape: [rows, channels] }, quality) {
  const position = quality * (rows - 1);
  const lower = Math.min(Math.floor(position / QUALITY_FULL), rows - 2);
  const fraction = position - lower * QUALITY_FULL;
  return Int32Array.from({ length: channels }, (_, c) => {
    const low = data[lower * channels + c], high = data[(lower + 1) * channels + c];
    return Math.floor((low * (QUALITY_FULL - fraction) + high * fraction + QUALITY_FULL / 2) / QUALITY_FULL);
  });
}

// A 1×1 convolution, `[positions, inputs]` → `[positions, outputs]`. weights: `[inputs, outputs]`.
export function mix(x, weights, bias) {
  const outputs = bias.length, inputs = weights.length / outputs;
  const result = new Int32Array((x.length / inputs) * outputs), sums = new Int32Array(outputs);
  for (let position = 0; position * inputs < x.length; position++) {
    sums.set(bias);
    for (let i = 0; i < inputs; i++) {
      const value = x[position * inputs + i];
      if (value === 0) continue;
      const row = i * outputs;
      for (let o = 0; o < outputs; o++) sums[o] += value * weights[row + o];
    }
    result.set(sums, position * outputs);
  }
  return result;
}

// A depthwise 3×3 convolution with zero padding of `[h, w, C]`. weights: `[C, 3, 3]`.
function filter(x, weights, h, w) {
  const channels = x.length / (h * w), result = new Int32Array(x.length);
  for (let i = 0; i < h; i++) {
    for (let j = 0; j < w; j++) {
      const to = (i * w + j) * channels;
      for (let u = Math.max(0, 1 - i); u < Math.min(3, h + 1 - i); u++) {
        for (let v = Math.max(0, 1 - j); v < Math.min(3, w + 1 - j); v++) {
          const from = ((i + u - 1) * w + j + v - 1) * channels;
          for (let c = 0; c < channels; c++) result[to + c] += weights[c * 9 + u * 3 + v] * x[from + c];
        }
      }
    }
  }
  return result;
}

// Rounded shift to the right and clamp, in place.
export function act(x, shift, limit) {
  const half = 1 << (shift - 1);
  for (let i = 0; i < x.length; i++) x[i] = Math.max(0, Math.min(limit, (x[i] + half) >> shift));
  return x;
}

// Channel 4c + 2a + b at (i, j) → channel c at (2i + a, 2j + b), of `[h, w, 4C]`.
function shuffle(x, h, w) {
  const channels = x.length / (h * w * 4), result = new Int32Array(x.length);
  for (let i = 0, from = 0; i < h; i++) {
    for (let j = 0; j < w; j++) {
      for (let c = 0; c < channels; c++) {
        for (let a = 0; a < 2; a++) {
          const to = ((2 * i + a) * 2 * w + 2 * j) * channels + c;
          result[to] = x[from++];
          result[to + channels] = x[from++];
        }
      }
    }
  }
  return result;
}

function channelsLast(x, channels) {
  const positions = x.length / channels, result = new Int32Array(x.length);
  for (let c = 0; c < channels; c++) {
    for (let p = 0; p < positions; p++) result[p * channels + c] = x[c * positions + p];
  }
  return result;
}

// The first rows and columns of `[h, w, N]`, channels first: `[N, height, width]`.
function cropped(x, h, w, height, width) {
  const channels = x.length / (h * w);
  const result = new Uint8Array(channels * height * width);
  for (let c = 0, to = 0; c < channels; c++) {
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) result[to++] = x[(i * w + j) * channels + c];
    }
  }
  return result;
}

// `[outputs, inputs]` → Int32Array `[inputs, outputs]`.
export function transposed({ data, shape: [outputs, inputs] }) {
  const result = new Int32Array(data.length);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) result[i * outputs + o] = data[o * inputs + i];
  }
  return result;
}
