// The page for trying the decoder: a file, its realism, what realism invented, and the image as a PNG.

import { decode, decodeToPNG, info } from "./rdpcodec.js";

const [file, realism, value, invented, save, status, stage, hint, image, overlay, legend] = [
  "file", "realism", "value", "invented", "save", "status", "stage", "hint", "image", "overlay", "legend",
].map((id) => document.getElementById(id));
document.getElementById("unloaded").remove();
const TINT = [255, 0, 170];
const STRONGEST = 48; // a difference in levels that is drawn opaque

let shown = null; // { name, bytes, about }
let busy = false, again = false;

// Open a file: a Blob with a name.
async function open(blob, name) {
  try {
    const bytes = new Uint8Array(await blob.arrayBuffer()), about = info(bytes);
    shown = { name, bytes, about };
    realism.value = about.realism;
    for (const control of [realism, invented, save]) control.disabled = false;
    await update();
  } catch (error) {
    fail(name, error);
  }
}

// Draw what the controls say; while an image is being decoded, only the newest request waits.
async function update() {
  value.textContent = Number(realism.value).toFixed(2);
  again = busy;
  if (busy || !shown) return;
  busy = true;
  do {
    again = false;
    const current = shown;
    // Another file may have been opened meanwhile.
    await draw(current).catch((error) => shown === current && fail(current.name, error));
  } while (again && shown);
  busy = false;
}

async function draw({ name, bytes, about }) {
  const started = performance.now(), set = Number(realism.value);
  if (image.hidden) say(`${name}: decoding …`);
  paint(image, await decode(bytes, { realism: set }));
  image.setAttribute("aria-label", `${name}, ${about.width}×${about.height} pixels, realism ${set.toFixed(2)}`);
  const took = performance.now() - started;
  if (invented.checked) {
    paint(overlay, difference(await decode(bytes, { realism: 0 }), await decode(bytes, { realism: 1 })));
  }
  overlay.hidden = legend.hidden = !invented.checked;
  stage.classList.toggle("tinted", invented.checked);
  hint.hidden = true;
  const bpp = (bytes.length * 8) / (about.width * about.height);
  say(`${name}: ${about.width}×${about.height}, ${bytes.length.toLocaleString("en")} bytes, ${bpp.toFixed(3)} bits per pixel, ` +
    `quality ${about.quality}, weights ${about.size}-${about.fingerprint}; decoded in ${(took / 1000).toFixed(2)} s`);
}

function paint(canvas, pixels) {
  if (canvas.width !== pixels.width || canvas.height !== pixels.height) {
    [canvas.width, canvas.height] = [pixels.width, pixels.height];
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  canvas.hidden = false;
}

// A tint as opaque as the largest difference of the three channels.
function difference(a, b) {
  const tinted = new ImageData(a.width, a.height);
  for (let i = 0; i < a.data.length; i += 4) {
    let most = 0;
    for (let c = i; c < i + 3; c++) most = Math.max(most, Math.abs(a.data[c] - b.data[c]));
    tinted.data.set([...TINT, Math.min(255, (most * 255) / STRONGEST)], i);
  }
  return tinted;
}

function say(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

function fail(name, error) {
  shown = null;
  for (const control of [realism, invented, save]) control.disabled = true;
  for (const part of [image, overlay, legend]) part.hidden = true;
  hint.hidden = false;
  say(`${name}: ${error.message}`, true);
}

async function download({ name, bytes }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await decodeToPNG(bytes, { realism: Number(realism.value) }));
  link.download = `${name.replace(/\.rdpc$/i, "")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

file.addEventListener("change", () => file.files[0] && open(file.files[0], file.files[0].name));
realism.addEventListener("input", update);
invented.addEventListener("change", update);
save.addEventListener("click", () => download(shown).catch((error) => say(error.message, true)));
for (const [kind, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    stage.classList.toggle("over", over);
  });
}
document.addEventListener("drop", ({ dataTransfer: { files } }) => files[0] && open(files[0], files[0].name));

// A link to the page may name a file beside it: index.html?photo.rdpc
if (location.search.length > 1) {
  let name = location.search.slice(1);
  try { name = decodeURIComponent(name); } catch {} // it is not encoded
  fetch(name)
    .then((response) => (response.ok ? response.blob() : Promise.reject(new Error(`status ${response.status}`))))
    .then((blob) => open(blob, name))
    .catch((error) => fail(name, error));
}
