// The floating-point networks of a model, run by ONNX Runtime (docs/format.md, section 4).
//
// Nothing that is decoded from bytes depends on them; another machine's sums may move a pixel by one level.

import { RdpError, WeightsError } from "./errors.js";
import { PATCH } from "./tiles.js";
import { forgotten } from "./weights.js";

// The part of the weights that each graph reads.
const PARTS = { first_means: "means", second_means: "means", synthesis: "synthesis", realism: "realism" };
// The other graphs are so small that a GPU would take longer to begin.
const LARGE = ["synthesis", "realism"];

export class Networks {
  // runtime: see runtime.js; model: see weights.js.
  constructor(runtime, model) {
    this.runtime = runtime;
    this.model = model;
    this.sessions = {};
    this.ort = runtime.ort; // the module that the sessions come from
  }

  // The latents of a tile, Float32Array `[N, h, w]`, from its symbols. quality in hundredths.
  async fromSymbols({ shape, hyper, residual }, quality) {
    const { height, width, hz, wz } = shape, { latents, hyperLatents } = this.model;
    const { features, mean } = await this.run("first_means", {
      hyper: [Float32Array.from(hyper), [1, hyperLatents, hz, wz]],
      size: [BigInt64Array.of(BigInt(height), BigInt(width)), [2]],
      quality: qualityTensor(quality),
    });
    const anchors = new Float32Array(latents * height * width);
    addHalf(anchors, mean, residual, shape, 0);
    const given = { features: [features.data, features.dims], anchors: [anchors, [1, latents, height, width]] };
    addHalf(anchors, (await this.run("second_means", given)).mean, residual, shape, 1);
    return anchors;
  }

  // Latents { data, h, w } → x, { data, h, w } of 16 times the sides: Float32Array `[3, 16h, 16w]`. network:
  // "synthesis" or "realism".
  async synthesise(network, { data, h, w }, quality) {
    const latents = [data, [1, this.model.latents, h, w]];
    const { pixels } = await this.run(network, { latents, quality: qualityTensor(quality) });
    return { data: pixels.data, h: h * PATCH, w: w * PATCH };
  }

  // Begin to load everything that a realism needs, all at once.
  prepare(beta) {
    const wanted = ["first_means", "second_means", ...(beta < 1 ? ["synthesis"] : []), ...(beta > 0 ? ["realism"] : [])];
    // Any error is raised again where the graph is run.
    for (const graph of wanted) this.session(graph).catch(() => {});
  }

  // Run a graph on tensors, each given as data and shape. What fails on a GPU is run again without it.
  async run(graph, inputs) {
    const { onGPU } = this.runtime;
    try {
      return await this.runOnce(graph, inputs);
    } catch (error) {
      if (error instanceof RdpError || !onGPU) throw error;
      if (this.runtime.onGPU) await this.runtime.leaveGPU(error);
      return this.runOnce(graph, inputs);
    }
  }

  async runOnce(graph, inputs) {
    const session = await this.session(graph), { Tensor } = this.ort;
    const tensor = ([data, shape]) => new Tensor(data instanceof BigInt64Array ? "int64" : "float32", data, shape);
    const tensors = Object.fromEntries(Object.entries(inputs).map(([name, given]) => [name, tensor(given)]));
    return this.runtime.run(session, tensors);
  }

  session(graph) {
    if (this.ort !== this.runtime.ort) {
      this.ort = this.runtime.ort;
      this.sessions = {};
    }
    this.sessions[graph] ??= this.load(graph);
    return forgotten(this.sessions, graph);
  }

  // Raises `WeightsError`, and on a GPU whatever ONNX Runtime raises.
  async load(graph) {
    const { model, runtime } = this;
    const [bytes] = await Promise.all([model.graph(graph), model.load(PARTS[graph])]);
    const externalData = [{ path: model.record.file, data: model.bytes }];
    try {
      return await runtime.session(bytes, externalData, LARGE.includes(graph));
    } catch (error) {
      if (runtime.onGPU) throw error;
      const wrong = new WeightsError(`the graph ${graph} of model ${model.record.name} cannot be run: ${error.message}`);
      throw Object.assign(wrong, { final: true });
    }
  }
}

function qualityTensor(hundredths) {
  return [Float32Array.of(hundredths / 100), [1]];
}

// Write one half of the latents, its means plus residuals, to its positions. The half with even sums of row
// and column, 0, is known first. Means `[1, N, ⌈h/2⌉, 2·⌈w/2⌉]`: even rows on the left, odd on the right.
function addHalf(latents, mean, residual, { height, width }, half) {
  const [, channels, rows, columns] = mean.dims;
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      const to = (channel * height + y) * width;
      const from = (channel * rows + (y >> 1)) * columns + (y & 1) * (columns >> 1);
      for (let x = (y + half) & 1; x < width; x += 2) latents[to + x] = mean.data[from + (x >> 1)] + residual[to + x];
    }
  }
}
