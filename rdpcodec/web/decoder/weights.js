// The weights of a model, in parts that are fetched when they are needed; `rdpcodec web` writes them.

import { crc32 } from "./container.js";
import { ContextNetwork } from "./context.js";
import { TableFamily } from "./entropy.js";
import { WeightsError } from "./errors.js";
import { ScaleNetwork } from "./scales.js";

const ARRAYS = { I8: Int8Array, I32: Int32Array };

// The list of models. Raises `WeightsError`, for example when a server sends a page of HTML in its place.
function parsed(bytes) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new WeightsError(`models.json: is damaged: ${error.message}`);
  }
}

export class WeightsFolder {
  // read: a function from a file's name to a promise of its bytes, a Uint8Array; it rejects with `WeightsError`.
  constructor(read) {
    this.read = read;
    this.models = new Map();
  }

  // The model that a file needs, ready to decode symbols. Raises `WeightsError` where it is not in the folder.
  async modelFor({ size, fingerprint }) {
    this.list ??= this.read("models.json").then(parsed);
    const record = (await forgotten(this, "list"))[fingerprint];
    if (!record) throw new WeightsError(`the file needs weights ${size}-${fingerprint}, which are not in the folder`);
    if (!this.models.has(fingerprint)) {
      const model = new Model(record, this.read);
      await model.loadIntegers();
      this.models.set(fingerprint, model);
    }
    return this.models.get(fingerprint);
  }
}

export class Model {
  constructor(record, read) {
    this.record = record;
    this.read = read;
    this.latents = record.latents;
    this.hyperLatents = record.hyper_latents;
    this.margin = record.margin; // how far the synthesis sees beyond a latent, in pixels
    this.hasRealism = "realism" in record.parts;
    // As long as the release's file, at first all zeros; parts are put where they lie in that file.
    this.bytes = new Uint8Array(record.bytes);
    this.loading = {};
  }

  // Load what turns bytes into symbols.
  async loadIntegers() {
    await this.load("integers");
    const tensor = (name) => {
      const { kind, shape, start, length } = this.record.integers[name];
      const bytes = this.bytes.slice(start, start + length);
      return { shape, data: new ARRAYS[kind](bytes.buffer) };
    };
    const family = (name, escape) =>
      new TableFamily(tensor(`${name}.frequencies`).data, tensor(`${name}.reach`).data, escape);
    this.scaleNetwork = new ScaleNetwork((name) => tensor(`scale.${name}`));
    this.latentTables = family("tables.latents", 1);
    if (this.record.context) {
      this.contextNetwork = new ContextNetwork((name) => tensor(`context.${name}`), family("context.tables", 1));
    } else {
      this.hyperTables = family("tables.hyper", 0);
    }
  }

  // Load a part into `bytes`, once. Raises `WeightsError`.
  load(part) {
    this.loading[part] ??= this.fetchPart(this.record.parts[part]);
    return forgotten(this.loading, part);
  }

  async fetchPart({ file, ranges }) {
    const data = await this.checked(file);
    let position = 0;
    for (const [start, length] of ranges) {
      this.bytes.set(data.subarray(position, position + length), start);
      position += length;
    }
  }

  // The bytes of a graph. Raises `WeightsError`.
  graph(name) {
    return this.checked(this.record.graphs[name]);
  }

  // A file whose name holds the CRC-32 of its bytes.
  async checked(file) {
    const data = await this.read(file);
    if (crc32(data) !== parseInt(file.split(".").at(-2), 16)) {
      throw new WeightsError(`${file}: is damaged (its checksum is not that of its name)`);
    }
    return data;
  }
}

// The result of the promise `holder[name]`. It is forgotten when it fails, so that another try may succeed.
export async function forgotten(holder, name) {
  try {
    return await holder[name];
  } catch (error) {
    delete holder[name];
    throw error;
  }
}
