// The floating-point networks of a model, run by ONNX Runtime (docs/format.md, section 4).
//
// Nothing that is decoded from bytes depends on them; another machine's sums may move a pixel by one level.

import { WeightsError } from "./errors.js";
import { PATCH } from "./tiles.js";
import { forgotten } from "./weights.js";

// The part of the weights that each graph reads.
const PARTS = { means: "means", context: "means", synthesis: "synthesis", realism: "realism" };

export class Networks {
  // runtime: the module of onnxruntime-web; model: see weights.js.
  constructor(runtime, model) {
    this.runtime = runtime;
    this.model = model;
    this.sessions = {};
  }

  // The latents of a tile, Float32Array `[N, h, w]`, from its symbols. quality in hundredths.
  async dequantise({ shape, hyper, residual }, quality) {
    const { height, width, hz, wz } = shape, { latents, hyperLatents } = this.model;
    const size = new this.runtime.Tensor("int64", BigInt64Array.of(BigInt(height), BigInt(width)), [2]);
    const hyperTensor = this.tensor(Float32Array.from(hyper), [1, hyperLatents, hz, wz]);
    const { features, mean } = await this.run("means", { hyper: hyperTensor, size, quality: this.quality(quality) });
    // In place: the first means become what the anchors are, and zeros elsewhere.
    const anchors = mean.data, isAnchor = checkerboard(height, width);
    for (let i = 0; i < anchors.length; i++) anchors[i] = isAnchor[i % isAnchor.length] ? anchors[i] + residual[i] : 0;
    const given = { features, anchors: this.tensor(anchors, [1, latents, height, width]) };
    const second = (await this.run("context", given)).mean.data;
    for (let i = 0; i < anchors.length; i++) {
      if (!isAnchor[i % isAnchor.length]) anchors[i] = second[i] + residual[i];
    }
    return anchors;
  }

  // Latents { data, h, w } → x, { data, h, w } of 16 times the sides: Float32Array `[3, 16h, 16w]`. network:
  // "synthesis" or "realism".
  async synthesise(network, { data, h, w }, quality) {
    const latents = this.tensor(data, [1, this.model.latents, h, w]);
    const { pixels } = await this.run(network, { latents, quality: this.quality(quality) });
    return { data: pixels.data, h: h * PATCH, w: w * PATCH };
  }

  tensor(data, shape) {
    return new this.runtime.Tensor("float32", data, shape);
  }

  quality(hundredths) {
    return this.tensor(Float32Array.of(hundredths / 100), [1]);
  }

  // Begin to load what a realism needs, all at once.
  prepare(beta) {
    const wanted = ["means", "context", ...(beta < 1 ? ["synthesis"] : []), ...(beta > 0 ? ["realism"] : [])];
    // What goes wrong is raised again where the graph is run.
    for (const graph of wanted) this.session(graph).catch(() => {});
  }

  async run(graph, inputs) {
    return (await this.session(graph)).run(inputs);
  }

  session(graph) {
    this.sessions[graph] ??= this.load(graph);
    return forgotten(this.sessions, graph);
  }

  // Raises `WeightsError`.
  async load(graph) {
    const { model } = this;
    const [bytes] = await Promise.all([model.graph(graph), model.load(PARTS[graph])]);
    const externalData = [{ path: model.record.file, data: model.bytes }];
    try {
      return await this.runtime.InferenceSession.create(bytes, { executionProviders: ["wasm"], externalData });
    } catch (error) {
      throw new WeightsError(`the graph ${graph} of model ${model.record.name} cannot be run: ${error.message}`);
    }
  }
}

// Which positions are anchors: those with an even sum.
function checkerboard(height, width) {
  return Uint8Array.from({ length: height * width }, (_, i) => (Math.floor(i / width) + (i % width) + 1) % 2);
}
