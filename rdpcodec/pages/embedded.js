
// The decoder for browsers, from files that are in the page itself ---------------------------------------------------

// Imports the module rdpcodec.js. files: by path, each compressed by gzip, in base64.
async function embeddedDecoder(files) {
  self.startWorker = () => {
    const worker = new Worker(URL.createObjectURL(new Blob([`${putFiles}\n(${beginWorker})();`])));
    worker.postMessage(files);
    return worker;
  };
  const modules = Object.entries(files).filter(([path]) => path.endsWith(".js"));
  return import((await putFiles(Object.fromEntries(modules)))["rdpcodec.js"]);
}

// The first code of the worker. For a page on a disk, workers run only modules that they put together themselves.
function beginWorker() {
  const early = [];
  self.onmessage = async ({ data: files }) => {
    self.onmessage = ({ data }) => early.push(data);
    try {
      await import((await putFiles(files))["decoder/worker.js"]); // which then takes messages
      for (const data of early) self.onmessage({ data });
    } catch (error) {
      setTimeout(() => { throw error; }); // so that the page is told
    }
  };
}

// Give files addresses, by path, in a page or a worker. Needs nothing but its argument.
async function putFiles(files) {
  const types = { js: "text/javascript", mjs: "text/javascript", wasm: "application/wasm" };
  const places = {};
  self.places = places;
  const put = (path, content) => {
    const type = types[path.split(".").at(-1)] ?? "application/octet-stream";
    places[path] = URL.createObjectURL(new Blob([content], { type }));
  };
  const bytesOf = (path) => {
    const packed = new Blob([Uint8Array.from(atob(files[path]), (c) => c.charCodeAt(0))]);
    return new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  };
  // A module names others by their paths. They are put first, and their addresses replace the paths in its text.
  const putModule = async (path) => {
    if (path in places) return;
    let text = new TextDecoder().decode(await bytesOf(path));
    for (const [, name] of text.matchAll(/ from "(.+?)";/g)) {
      const other = new URL(name, `file:///${path}`).pathname.slice(1);
      await putModule(other);
      text = text.replaceAll(` from "${name}";`, ` from "${places[other]}";`);
    }
    put(path, text);
  };
  put("decoder/places.js", "export const place = (name) => self.places[name] ?? null, startWorker = () => self.startWorker();");
  for (const path of Object.keys(files)) {
    if (path.endsWith(".js")) await putModule(path);
    else put(path, await bytesOf(path));
  }
  return places;
}
