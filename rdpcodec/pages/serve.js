
// One image, its dials, and what the server makes of it ----------------------------------------------------------------

const viewer = createViewer($("viewer"));
const dials = { quality: $("quality"), realism: $("realism") };
let shown = null; // the image: { id, name, size, width, height, notes }
let sides = ["original", "coded"];
const loaded = { original: null, coded: null, peer: null }; // as the browser shows them
const names = { original: "Original", coded: "rdpcodec", peer: "" };
const against = $("against"); // what is on the other side: the original, or another format

function fail(message) {
  $("error").textContent = message ?? "";
  $("error").hidden = !message;
}

// An answer that is an error: its status, and what the server says.
class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  const answered = await answer.json().catch(() => ({}));
  throw new Refusal(answer.status, answered.error ?? `The server answered with status ${answer.status}.`);
}

const loadImage = async (path, options) => imageOf(await (await ask(path, options)).blob());

async function imageOf(blob) {
  const url = URL.createObjectURL(blob), image = new Image();
  image.src = url;
  try {
    await image.decode();
  } finally {
    URL.revokeObjectURL(url); // the decoded image stays
  }
  return Object.assign(image, { bytes: blob.size });
}

const wanted = () => ({ quality: dials.quality.value, realism: dials.realism.value });
const path = (source, kind, { quality, realism }) => `images/${source.id}/${kind}?quality=${quality}&realism=${realism}`;

function showSides() {
  sides.forEach((side, i) => (loaded[side] ? viewer.show(i, loaded[side], names[side]) : viewer.clear(i, names[side])));
}

let figures = {}; // of the image, by name: text, and whether it is of an earlier setting
function setFigures(changes, old = false) {
  for (const [term, text] of Object.entries(changes)) figures[term] = { text: text ?? figures[term]?.text ?? "–", old };
  $("figures").replaceChildren(...Object.entries(figures).map(([term, figure]) =>
    element("div", { class: figure.old ? "old" : null }, element("dt", {}, term), element("dd", {}, figure.text))));
}
const METRIC_NAMES = Object.keys(data.metrics);
const TERMS = ["bytes", "bits per pixel", "of the upload", ...Object.values(data.metrics), "seconds"];
const outdated = () => setFigures(Object.fromEntries(TERMS.map((term) => [term, null])), true);

function showDials() {
  for (const [name, dial] of Object.entries(dials)) {
    const text = name === "quality" ? dial.value : Number(dial.value).toFixed(2);
    $(`${name}-value`).textContent = text;
    dial.setAttribute("aria-valuetext", text);
  }
  const link = $("download");
  link.href = path(shown, "file", wanted());
  link.download = `${shown.name.replace(/\.[^.]*$/, "") || "image"}.rdpc`;
}

// Realism can be turned in the browser: the decoder that the server gives out decodes the file of a quality again.
const live = {
  able: data.decodes,
  why: "The server decodes it; started with --onnxruntime-web, it lets this browser do so.", // not able
  key: null, // of an image and a quality
  file: null, // its bytes
};

const keyOf = (source, { quality }) => `${source.id} ${quality}`;

// The image of a setting, decoded by this browser; null if it cannot.
async function decodedHere(source, setting) {
  const key = keyOf(source, setting);
  const file = live.key === key ? live.file : await (await ask(path(source, "file", setting))).arrayBuffer();
  Object.assign(live, { key, file });
  try {
    const { decodeToPNG } = await import("./decoder/rdpcodec.js");
    return await imageOf(await decodeToPNG(file, { realism: Number(setting.realism) }));
  } catch (error) {
    Object.assign(live, { able: false, why: `The server decodes it, for this browser cannot: ${error.message}` });
    describeRealism();
    return null;
  }
}

// Up to this size the decoder keeps what the networks made, see mosaic.js. The server decodes larger images sooner.
const LIVE_PIXELS = 2 ** 21;
const isSmall = ({ width, height }) => width * height <= LIVE_PIXELS;

function describeRealism() {
  const who = !live.able ? live.why
    : shown && !isSmall(shown) ? "The server decodes it: the image has more than 2 megapixels."
    : "This browser decodes it, without asking the server.";
  $("realism-help").textContent = data.realism
    ? `From closest to the original to most natural, at the same bytes. ${who}`
    : "The weights that are installed have no realism setting.";
}

function pause(milliseconds, signal) {
  return new Promise((done, stop) => {
    setTimeout(done, milliseconds);
    signal?.addEventListener("abort", () => stop(signal.reason));
  });
}

// One setting at a time: while it is worked on, only the newest waits. So images come in the order of the settings, and
// requests to the server never pile up. Figures are given up as soon as the setting changes.
let working = false, waiting = false;
let figuring = new AbortController();
async function update() {
  fail(null);
  showDials();
  outdated();
  figuring.abort();
  if (working) { waiting = true; return; }
  working = true;
  try {
    do {
      waiting = false;
      const here = canTurnHere(shown, wanted());
      $("state").textContent = here ? "decoding …" : "coding …";
      if (!here) await pause(60); // a drag or a held key gives many settings at once
      await showSetting(shown, wanted());
    } while (waiting);
  } catch (error) {
    fail(error.message);
  } finally {
    working = false;
    $("state").textContent = "";
  }
  if (waiting) update();
}

// What is shown: its image and quality, and the size of its file.
let current = { source: null, quality: null, coded: null };
// Whether this browser can make the image of a setting itself: it differs from what is shown in realism alone.
const canTurnHere = (source, { quality }) =>
  live.able && data.realism && isSmall(source) && current.source === source && current.quality === quality;

async function showSetting(source, setting) {
  const started = performance.now();
  const here = canTurnHere(source, setting) ? await decodedHere(source, setting) : null;
  const coded = here ? current.coded : await (await ask(path(source, "coded", setting))).json();
  const image = here ?? await loadImage(path(source, "decoded", setting));
  if (source !== shown) return;
  current = { source, quality: setting.quality, coded };
  loaded.coded = image;
  names.coded = `Quality ${setting.quality}` + (data.realism ? `, realism ${Number(setting.realism).toFixed(2)}` : "");
  showSides();
  setFigures({
    bytes: count(coded.bytes), "bits per pixel": fixed(coded.bpp, 3), "of the upload": `${fixed(100 * coded.bytes / source.size, 1)} %`,
    seconds: fixed((performance.now() - started) / 1000, 2),
  });
  if (waiting) return;
  figuring = new AbortController();
  try {
    // While realism is being turned, the server is not asked.
    if (here) await pause(400, figuring.signal);
    await showFigures(source, setting, figuring.signal);
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}

// Raises an `AbortError` once the setting changes.
async function showFigures(source, setting, signal) {
  $("state").textContent = "measuring …";
  await showPeer(source, setting, signal);
  const measured = await (await ask(path(source, "figures", setting), { signal })).json();
  signal.throwIfAborted();
  setFigures(Object.fromEntries(METRIC_NAMES.map((m) => [data.metrics[m], metricText(m, measured[m])])));
  // Decode in advance, so that the first turn is as quick as the next: both decodings are then kept.
  if (canTurnHere(source, setting) && live.key !== keyOf(source, setting)) decodedHere(source, { ...setting, realism: 0.5 }).catch(() => {});
}

// Another format at as many bytes, if one is chosen: its own file, decoded by the browser. If there is none, the measures
// of ours are shown all the same.
async function showPeer(source, setting, signal) {
  const format = against.value, label = data.peers[format];
  if (!label) return;
  const peer = await loadImage(path(source, format, setting), { signal }).then(
    (image) => ({ image, name: `${label}, ${count(image.bytes)} bytes` }),
    (error) => ({ image: null, name: `${label}: ${whyNotShown(error)}` }),
  );
  signal.throwIfAborted();
  if (against.value !== format) return;
  loaded.peer = peer.image;
  names.peer = peer.name;
  showSides();
}

// Throws an error again that does not concern the format alone.
function whyNotShown(error) {
  if (error.name === "EncodingError") return "this browser cannot show it";
  if (!(error instanceof Refusal)) throw error;
  return error.status === 400 ? "cannot hold this image" : error.message;
}

const pendingPeer = () => `${data.peers[against.value]} …`;

function compareWith() {
  const other = data.peers[against.value] ? "peer" : "original";
  sides = sides.map((side) => (side === "coded" ? side : other));
  loaded.peer = null;
  names.peer = pendingPeer();
  showSides();
  if (other === "peer") update();
}

let choices = 0; // counted, so that of two uploads the later is shown
async function choose(file) {
  if (!file) return;
  const choice = ++choices;
  fail(null);
  if (file.size > data.limits.size) {
    fail(`${file.name}: the file has ${(file.size / 1e6).toPrecision(3)} MB, this server takes up to ${data.limits.size / 1e6} MB.`);
    return;
  }
  $("limits").textContent = "Reading …";
  try {
    const about = await (await ask("images", { method: "POST", body: file })).json();
    const original = await loadImage(`images/${about.id}/original`);
    if (choice !== choices) return;
    shown = { ...about, name: file.name, size: file.size };
    describeRealism();
    figures = {};
    Object.assign(loaded, { original, coded: null, peer: null });
    Object.assign(names, { coded: "coding …", peer: pendingPeer() });
    for (const id of ["work", "another"]) $(id).hidden = false;
    for (const node of $("drop").querySelectorAll("label")) node.hidden = true;
    $("about").textContent = `${file.name}, ${about.width} × ${about.height} pixels, ${count(file.size)} bytes`;
    $("notes").replaceChildren(...[...about.notes, ...data.notes, `Model ${data.model}.`].map((note) => element("li", {}, note)));
    showSides();
    viewer.fit();
    update();
  } catch (error) {
    if (choice === choices) fail(`${file.name}: ${error.message}`);
  } finally {
    describeLimits();
  }
}

function describeLimits() {
  $("limits").textContent = `Up to ${data.limits.size / 1e6} MB and ${data.limits.pixels / 1e6} megapixels. It stays in the memory of this server and is not stored.`;
}

viewer.swapped = () => { sides.reverse(); showSides(); };
$("about").textContent = `Model ${data.model}`;
$("chosen").addEventListener("change", () => { choose($("chosen").files[0]); $("chosen").value = ""; });
for (const [format, label] of Object.entries(data.peers)) against.append(element("option", { value: format }, `${label} of as many bytes`));
against.addEventListener("change", compareWith);
dials.realism.disabled = !data.realism;
describeRealism();
for (const dial of Object.values(dials)) dial.addEventListener("input", update);
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
for (const kind of ["dragleave", "drop"]) addEventListener(kind, () => document.body.classList.remove("over"));
addEventListener("drop", (event) => { event.preventDefault(); choose(event.dataTransfer.files[0]); });
addEventListener("paste", (event) => choose(event.clipboardData.files[0]));
describeLimits();
