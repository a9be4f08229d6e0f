
// The comparison: which versions of which image are on the two sides -----------------------------------------------

const METRICS = Object.keys(data.metrics);
const LOWER_IS_BETTER = new Set(["lpips"]);
const viewer = createViewer($("viewer"));
const dial = $("realism");
const middle = data.qualities[Math.floor((data.qualities.length - 1) / 2)];
let source = data.images[0];
// Versions by their place in source.versions, -1 for the original: the same for all images.
const versionAt = (i) => source.versions[i];
const ownAt = (quality) => source.versions.findIndex((v) => v.ours && v.quality === quality);
const sides = [-1, ownAt(middle)];
// Whether this browser decodes a version itself, at the realism that is set.
const isTurned = (i) => i >= 0 && "file" in versionAt(i);
const nameOf = (i) => (i < 0 ? "Original" : isTurned(i) ? `rdpcodec, realism ${fixed(Number(dial.value), 2)}` : versionAt(i).label);
const fullName = (i) => (i < 0 ? "Original" : `${nameOf(i)} at quality ${versionAt(i).quality}`);
const labelled = (i) => (i < 0 ? "Original" : `${versionAt(i).label} at quality ${versionAt(i).quality}`);

let decoder = null; // a promise of its module

async function imageAt(i) {
  const image = new Image();
  image.src = i < 0 ? source.original : isTurned(i) ? await turned(versionAt(i)) : versionAt(i).image;
  await image.decode();
  return image;
}

// Decodes a file at the realism that is set: the address of a PNG.
async function turned({ file }) {
  decoder ??= embeddedDecoder(data.decoder);
  const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0));
  const png = await (await decoder).decodeToPNG(bytes, { realism: Number(dial.value) });
  const address = URL.createObjectURL(png);
  setTimeout(() => URL.revokeObjectURL(address), 10_000); // by then it is shown, or never
  return address;
}

let shows = 0; // counted, so that of two decodings the later choice is seen
async function show() {
  const current = ++shows;
  const images = await Promise.allSettled(sides.map(imageAt));
  if (current !== shows) return;
  const broken = images.find(({ status }, side) => status === "rejected" && isTurned(sides[side]));
  if (broken) return leaveDial(broken.reason);
  images.forEach(({ status, value }, side) => {
    if (status === "fulfilled") viewer.show(side, value, nameOf(sides[side]));
    else viewer.clear(side, nameOf(sides[side]));
  });
  $("captions").replaceChildren(...sides.map((i, side) => element("figure", {},
    element("figcaption", {}, element("small", {}, side ? "right" : "left"), fullName(i)),
    i < 0
      ? figureList([["size", `${source.width} × ${source.height}`]])
      : figureList([["bytes", count(versionAt(i).bytes)], ["bits per pixel", fixed(versionAt(i).bpp, 3)],
        ...METRICS.map((name) => [data.metrics[name], metricText(name, versionAt(i)[name])])]),
    ...(images[side].status === "rejected" ? [element("p", { class: "note" }, "This browser cannot show this format.")] : []))));
  for (const input of document.querySelectorAll("#versions input")) input.checked = sides[SIDES.indexOf(input.name)] === Number(input.value);
  for (const row of document.querySelectorAll("#versions tr[data-version]")) row.classList.toggle("shown", sides.includes(Number(row.dataset.version)));
  for (const button of $("qualities").children) button.setAttribute("aria-pressed", sides.some((i) => i >= 0 && versionAt(i).quality === Number(button.value)));
}

function note(text) {
  $("dial-note").textContent = text;
  $("dial-note").hidden = !text;
}

// If the decoder does not run, show the image that the page holds instead of the one that the dial asks for.
function leaveDial(error) {
  dial.disabled = true;
  note(`This browser cannot turn realism: ${error.message}. The page holds realism 0 and 1.`);
  sides.forEach((i, side) => {
    if (isTurned(i)) sides[side] = ownAt(versionAt(i).quality);
  });
  return show();
}

// Show the realism of the dial, on a side that shows ours. While one image is decoded, only the newest setting waits.
let turning = false, turnedAgain = false;
async function turn() {
  $("realism-value").textContent = fixed(Number(dial.value), 2);
  if (!sides.some(isTurned)) {
    const side = [1, 0].find((s) => sides[s] >= 0 && versionAt(sides[s]).ours) ?? 1;
    const quality = sides[side] < 0 ? middle : versionAt(sides[side]).quality;
    sides[side] = source.versions.findIndex((v) => "file" in v && v.quality === quality);
  }
  turnedAgain = turning;
  if (turning) return;
  turning = true;
  if (!decoder) note("Starting the decoder …");
  do {
    turnedAgain = false;
    await show();
  } while (turnedAgain && !dial.disabled);
  if (!dial.disabled) note("");
  turning = false;
}

function choices(i) {
  return SIDES.map((side) => {
    const input = element("input", { type: "radio", name: side, value: i, "aria-label": `${labelled(i)} on the ${side}` });
    input.addEventListener("change", () => { sides[SIDES.indexOf(side)] = i; show(); });
    return element("td", { class: "choice" }, element("label", {}, input));
  });
}

// Whether two versions are close enough in bytes for their figures to be compared.
const equal = (version, own) => Math.abs(Math.log(version.bytes / own.bytes)) < Math.log(1.1);

function drawVersions() {
  const columns = [["bytes", (v) => v.bytes, (v) => count(v)], ["bpp", (v) => v.bpp, (v) => fixed(v, 3)],
    ...METRICS.map((name) => [data.metrics[name], (v) => v[name], (v) => metricText(name, v)])];
  $("heads").replaceChildren(element("tr", {}, ...SIDES.map((side) => element("th", { class: "choice", scope: "col" }, side)),
    element("th", { scope: "col" }, "version"), ...columns.map(([head]) => element("th", { class: "number", scope: "col" }, head))));
  const original = element("tbody", {}, element("tr", { "data-version": -1 }, ...choices(-1), element("th", { scope: "row" }, "Original"),
    element("td", { colspan: columns.length })));
  const groups = data.qualities.map((quality) => {
    const members = source.versions.map((version, i) => ({ version, i })).filter(({ version }) => version.quality === quality);
    const own = members.find(({ version }) => version.ours).version;
    const best = Object.fromEntries(METRICS.map((name) => {
      const values = members.filter(({ version }) => equal(version, own)).map(({ version }) => version[name]).filter((v) => v !== null);
      return [data.metrics[name], values.length ? (LOWER_IS_BETTER.has(name) ? Math.min(...values) : Math.max(...values)) : null];
    }));
    return element("tbody", {},
      element("tr", {}, element("th", { class: "group", colspan: 3 + columns.length, scope: "rowgroup" }, `Quality ${quality}`)),
      ...members.map(({ version, i }) => element("tr", { "data-version": i, class: version.ours ? "ours" : "" }, ...choices(i),
        element("th", { scope: "row" }, version.label),
        ...columns.map(([head, value, form]) => {
          const text = form(value(version));
          const parts = [equal(version, own) && best[head] !== null && best[head] === value(version) ? element("b", {}, text) : text];
          if (head === "bytes" && !version.ours) parts.push(element("small", {}, ` (${Math.round(100 * version.bytes / own.bytes)} %)`));
          return element("td", { class: "number", "data-head": head }, ...parts);
        }))));
  });
  for (const body of document.querySelectorAll("#versions tbody")) body.remove();
  $("versions").append(original, ...groups);
}

function drawNotes() {
  const realism = data.realism ? " Realism is chosen when decoding: both decodings of a quality are of the same file." : "";
  $("notes").replaceChildren(...[
    ...source.notes,
    `rdpcodec ${data.model}. Our decoded images are stored in this page without loss.${realism}`,
    `${data.peers.join("; ")}. Of each format the file nearest to ours in bytes is shown, the file itself, decoded by this browser.`,
    `Metrics are of the images as decoded where this page was made, over RGB${data.metrics.lpips ? "; LPIPS is of the AlexNet, lower is better" : ""}.`,
    ...data.notes,
    `The images take ${(data.image_bytes / 1e6).toFixed(1)} MB of this page, ` +
      `${data.decoder_bytes ? `the decoder that turns realism ${(data.decoder_bytes / 1e6).toFixed(1)} MB; it` : "which"} needs nothing else.`,
  ].map((note) => element("li", {}, note)));
}

function drawImage() {
  document.title = `${source.name}: rdpcodec compared`;
  $("title").textContent = source.name;
  $("about").textContent = `${source.width} × ${source.height} pixels, as rdpcodec and other formats of about as many bytes`;
  for (const button of $("images").children) button.setAttribute("aria-pressed", Number(button.value) === data.images.indexOf(source));
  drawVersions();
  drawNotes();
  return show();
}

viewer.swapped = () => { sides.reverse(); show(); };
$("dial").hidden = !data.decoder_bytes;
$("realism-value").textContent = fixed(Number(dial.value), 2);
dial.addEventListener("input", turn);
$("images").hidden = data.images.length === 1;
$("images").append(...data.images.map((choice, i) => {
  const button = element("button", { type: "button", value: i }, choice.name);
  button.addEventListener("click", () => { source = choice; drawImage().then(viewer.fit); });
  return button;
}));
$("qualities").hidden = data.qualities.length === 1;
$("qualities").append(...data.qualities.map((quality) => {
  const button = element("button", { type: "button", value: quality }, `Quality ${quality}`);
  button.addEventListener("click", () => {
    sides.forEach((i, side) => {
      if (i >= 0) sides[side] = source.versions.findIndex((v) => v.label === versionAt(i).label && v.quality === quality);
    });
    show();
  });
  return button;
}));
drawImage();
