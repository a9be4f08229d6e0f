// The errors a page can meet, as in Python's errors.py: each message says what is wrong and what to do.

export class RdpError extends Error {
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

// Bytes that are not a valid .rdpc file: truncated, corrupted, hostile, or of a newer version.
export class FormatError extends RdpError {}

// Weights or networks that are missing, damaged, or not those a file was made with. final: whether only a new
// worker may succeed, since ONNX Runtime never tries to load its WebAssembly again.
export class WeightsError extends RdpError {}

// An argument that is out of range.
export class UsageError extends RdpError {}

const KINDS = { FormatError, WeightsError, UsageError };

// An error as a worker can post it; an error that is not ours keeps its message.
export function packed(error) {
  return { name: error?.name, message: String(error?.message ?? error), final: error?.final };
}

// The inverse of `packed`.
export function unpacked({ name, message }) {
  return new (KINDS[name] ?? RdpError)(message);
}
