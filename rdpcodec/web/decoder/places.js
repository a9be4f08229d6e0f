// Where the files lie that the decoder loads: beside it. A page that holds them itself puts another module here.

// The address of a file by its path in the folder; null where it is known to be missing.
export const place = (name) => new URL(`../${name}`, import.meta.url).href;

export const startWorker = () => new Worker(place("decoder/worker.js"), { type: "module" });
