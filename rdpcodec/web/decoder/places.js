// Where the decoder's files lie: beside it. A page that holds them itself puts another module here.

// The address of a file by its path in the folder; null where it is known to be missing.
export const place = (name) => new URL(`../${name}`, import.meta.url).href;

// Workers have to come from the page's own origin; what they import need not.
export function startWorker() {
  const address = place("decoder/worker.js");
  if (new URL(address).origin === location.origin) return new Worker(address, { type: "module" });
  const own = URL.createObjectURL(new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" }));
  return new Worker(own, { type: "module" });
}
