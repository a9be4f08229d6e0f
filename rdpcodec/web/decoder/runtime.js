// ONNX Runtime: on WebGPU where there is one, else as WebAssembly with SIMD, with threads where pages may
// have them.

import { WeightsError } from "./errors.js";
import { place } from "./places.js";

const PLAIN = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded"];
// The small one of the builds with WebGPU: it needs a browser in which WebAssembly can wait for promises.
const WITH_GPU = ["ort.jspi.min.mjs", "ort-wasm-simd-threaded.jspi"];
const MOST_THREADS = 4;
const ERRORS = 3; // the lowest severity that is logged

export class Runtime {
  // Raises `WeightsError` where ONNX Runtime cannot be loaded.
  static async load() {
    const runtime = new Runtime();
    if (await hasGPU()) {
      try {
        runtime.ort = await imported(WITH_GPU);
        runtime.onGPU = true;
      } catch (error) {
        warn(error);
      }
    }
    runtime.ort ??= await imported(PLAIN);
    return runtime;
  }

  constructor() {
    this.ort = null; // the module
    this.onGPU = false; // whether WebGPU is to be tried
    this.busy = Promise.resolve();
  }

  // A session for a graph's bytes; large: whether it is worth a GPU.
  session(bytes, externalData, large) {
    const executionProviders = [this.onGPU && large ? "webgpu" : "wasm"];
    const options = { executionProviders, externalData, logSeverityLevel: ERRORS };
    return this.alone(() => this.ort.InferenceSession.create(bytes, options));
  }

  run(session, tensors) {
    return this.alone(() => session.run(tensors));
  }

  // One call after the other: the build with WebGPU ends itself when it is called while it waits.
  alone(work) {
    this.busy = this.busy.then(work, work);
    return this.busy;
  }

  // Go on without WebGPU, which failed: sessions have to be made anew. Raises `WeightsError`.
  async leaveGPU(error) {
    warn(error);
    this.onGPU = false;
    this.ort = await imported(PLAIN);
  }
}

// Whether WebGPU is worth a try: some browsers have it, but no graphics card.
async function hasGPU() {
  if (!navigator.gpu || !("Suspending" in WebAssembly) || !place(`onnxruntime-web/${WITH_GPU[0]}`)) return false;
  return Boolean(await navigator.gpu.requestAdapter().catch(() => null));
}

async function imported([module, binary]) {
  try {
    const ort = await import(place(`onnxruntime-web/${module}`));
    ort.env.wasm.wasmPaths = { mjs: place(`onnxruntime-web/${binary}.mjs`), wasm: place(`onnxruntime-web/${binary}.wasm`) };
    // Threads share memory, which browsers allow for pages that are isolated from others.
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
    ort.env.logLevel = "error";
    return ort;
  } catch (error) {
    throw new WeightsError(`onnxruntime-web cannot be loaded: ${error.message}`);
  }
}

function warn(error) {
  console.warn(`rdpcodec: WebGPU is left, WebAssembly decodes: ${error.message}`);
}
