const ours = data.codecs[0];
const hasDial = data.realisms.length > 1;
const { figures } = data;
const hidden = new Set(); // labels of codecs that the reader switched off
let measure = data.measures[0];
const chosen = () => figures.measures[measure.key];
const redrawSpace = () => drawSpace(chosen().surface);

// Figures --------------------------------------------------------------------------------------------------------

function drawCurves() {
  const holders = figures.eyes.map((chart) => {
    const holder = element("div");
    return [chart, holder, element("figure", {}, element("figcaption", {}, chart.title), holder)];
  });
  $("eyes-charts").replaceChildren(...holders.map(([, , figure]) => figure));
  for (const [chart, holder] of holders) drawChart(holder, chart, { hidden });
  drawChart($("psnr-chart"), figures.psnr, { hidden });
  drawChart($("ms-ssim-chart"), figures.ms_ssim, { hidden });
  drawChart($("perception-chart"), chosen().rate_perception, { hidden, height: 380 });
}

function drawContours() {
  $("no-contours").hidden = hasDial;
  for (const part of [".pair", ".lead"]) document.querySelector(`#contours ${part}`).hidden = !hasDial;
  if (!hasDial) return;
  for (const [id, chart] of [["equal-perception", chosen().equal_perception], ["equal-distortion", chosen().equal_distortion]]) {
    drawChart($(id), chart);
    $(id).append(element("div", { class: "legend" }, ...chart.series.map((s) => legendEntry("span", {}, s, s.label))));
  }
}

function drawPlane() {
  const at = Number($("rate").value), plane = data.planes[measure.key][at];
  $("rate-value").textContent = chosen().planes[at].title;
  $("rate").setAttribute("aria-valuetext", chosen().planes[at].title);
  drawChart($("plane-chart"), chosen().planes[at], { shade: true });
  const nameOf = (m) => (m.codec === ours.name && hasDial ? `${m.label}, realism ${m.realism}` : m.label);
  const list = element("dl");
  plane.methods.forEach((method, i) => {
    const worse = plane.dominance.filter(([better]) => better === i);
    if (!worse.length) return;
    const parts = worse.flatMap(([, j, part], k) => [
      k ? ", " : "", element("b", {}, nameOf(plane.methods[j])), part === null ? "" : ` ${Math.round(100 * part)} %`,
    ]);
    list.append(element("dt", {}, nameOf(method)), element("dd", {}, "dominates ", ...parts));
  });
  $("dominance").replaceChildren(
    list.children.length ? list : element("p", { class: "note" }, "No method is better than another in both."),
    element("p", { class: "quiet" }, "Percentages: in how many resamplings of the images it is so."),
  );
}

function drawLegends() {
  const named = (codec) => codec.label + (codec.kind === "published" ? " (published)" : "");
  $("curve-legend").replaceChildren(...data.codecs.map((codec) => {
    const button = legendEntry("button", { type: "button", "aria-pressed": true }, figures.styles[codec.name], named(codec));
    button.addEventListener("click", () => {
      hidden.delete(codec.label) || hidden.add(codec.label);
      drawCurves();
      button.setAttribute("aria-pressed", !hidden.has(codec.label));
    });
    return button;
  }));
  $("space-legend").replaceChildren(...data.codecs.filter((codec) => codec.kind !== "published").map((codec) =>
    legendEntry("span", {}, figures.styles[codec.name], codec === ours && hasDial ? `${codec.label}: surface, coloured by rate` : codec.label)));
}

// The image browser ----------------------------------------------------------------------------------------------

function setUpBrowser() {
  if (!data.crops.length) {
    $("browser").hidden = true;
    document.querySelector('nav a[href="#browser"]').hidden = true;
    return;
  }
  let shown = data.crops[0];
  const quality = $("quality"), realism = $("realism");
  quality.max = data.qualities.length - 1;
  quality.value = Math.floor((data.qualities.length - 1) / 3);
  realism.max = data.realisms.length - 1;
  realism.value = 0;
  if (!hasDial) {
    realism.disabled = true;
    document.querySelector("#browser .lead").textContent = "Each image at each quality. These weights have no realism setting.";
  }
  const pane = (id) => {
    const image = element("img", { id: `${id}-image`, alt: "" }), name = document.createTextNode(""), note = element("span"), figures = element("dl");
    $("panes").append(element("figure", { id: `pane-${id}` }, element("figcaption", {}, name, note), image, figures));
    return (title, url, sample) => {
      name.data = title;
      image.src = url;
      image.width = shown.crop[2] - shown.crop[0];
      image.height = shown.crop[3] - shown.crop[1];
      image.alt = `${shown.name}: ${title}`;
      note.textContent = sample ? `${sample.bytes.toLocaleString("en")} bytes` : `${shown.size[0]} × ${shown.size[1]} pixels`;
      const rows = sample ? [["bits per pixel", fixed(sample.bpp, 3)], ["PSNR", `${fixed(sample.psnr, 2)} dB`], ["MS-SSIM", fixed(sample.ms_ssim, 4)]] : [];
      if (sample?.lpips_alex !== undefined) rows.splice(2, 1, ["LPIPS", fixed(sample.lpips_alex, 3)]);
      figures.replaceChildren(...rows.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, value)]));
      if (sample) figures.title = `MS-SSIM ${fixed(sample.ms_ssim, 4)}`;
    };
  };
  const panes = { original: pane("original"), ours: pane("ours"), avif: shown.avif.length ? pane("avif") : null };
  const show = () => {
    const q = Number(quality.value), b = Number(realism.value);
    $("quality-value").textContent = digits(data.qualities[q], 4);
    $("realism-value").textContent = digits(data.realisms[b], 4);
    quality.setAttribute("aria-valuetext", data.qualities[q]);
    realism.setAttribute("aria-valuetext", data.realisms[b]);
    panes.original("Original", shown.original, null);
    panes.ours(ours.label, shown.ours[q][b].image, shown.ours[q][b]);
    panes.avif?.("AVIF", shown.avif[q].image, shown.avif[q]);
  };
  const buttons = data.crops.map((crop) => {
    const button = element("button", { type: "button", "aria-pressed": crop === shown }, crop.name);
    button.addEventListener("click", () => {
      shown = crop;
      buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
      show();
    });
    return button;
  });
  $("choose").append(...buttons);
  quality.addEventListener("input", show);
  realism.addEventListener("input", show);
  show();
}

// Tables and words -----------------------------------------------------------------------------------------------

function table(id, heads, rows) {
  const cell = (tag, content, i) => element(tag, { class: i && typeof content !== "object" ? "number" : content?.className }, content?.node ?? content);
  $(id).replaceChildren(
    element("thead", {}, element("tr", {}, ...heads.map((head, i) => element("th", { class: i && head.number !== false ? "number" : "" }, head.text ?? head)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((content, i) => cell("td", content, i))))),
  );
}
function withInterval(figure, form) {
  if (!figure || figure.value === null) return "–";
  const node = element("span", {}, form(figure.value));
  if (figure.interval) node.append(element("small", {}, ` (${form(figure.interval[0])} to ${form(figure.interval[1])})`));
  return { node, className: "number" };
}

function writeWords() {
  document.title = data.title;
  $("title").textContent = data.title;
  $("description").textContent = data.description;
  $("headlines").replaceChildren(...data.headlines.map((figure) => {
    const form = (v) => (figure.unit === "%" ? signed(v) : fixed(v, figure.unit ? 2 : 3)) + (figure.unit ? ` ${figure.unit}` : "");
    const spread = figure.interval ? `${form(figure.interval[0])} to ${form(figure.interval[1])} (95 %)` : "";
    return element("div", {}, element("dt", {}, figure.label),
      element("dd", {}, element("span", { class: "value" }, form(figure.value)), element("small", {}, spread), element("small", {}, figure.note)));
  }));
  const { columns, rows } = data.bd_rates;
  table("bd-rates", ["against", ...columns.map((c) => c.label + (hasDial ? `, realism ${c.realism}` : ""))],
    rows.map((row) => [row.label + (row.published ? " (published)" : ""), ...row.cells.map((c) => withInterval(c, (v) => `${signed(v)} %`))]));
  const volumes = Object.values(data.volumes);
  $("box").textContent = `The share of a box that lies under D(R, P): the least distortion with at most R bits per pixel and at most P of a perception measure. ` +
    `Smaller is better; a better codec always has a smaller one. ` + volumes.map(({ label, rewards, box: { bpp, psnr, perception } }) =>
    `By ${label} it ${rewards}; the box: ${bpp.join(" to ")} bits per pixel, ${psnr.join(" to ")} dB, ${perception.join(" to ")}.`).join(" ");
  const named = [...new Set(volumes.flatMap((v) => v.rows.map((row) => row.label)))];
  table("volumes", ["codec", ...volumes.map((v) => v.label)],
    named.map((name) => [name, ...volumes.map((v) => withInterval(v.rows.find((row) => row.label === name), (x) => fixed(x, 4)))]));
  const marks = { holds: ["✓ ", "holds"], "holds within error": ["✓ ", "holds"], fails: ["✗ ", "fails"], "not measured": ["– ", "unknown"] };
  table("checks", ["Statement", { text: "Verdict", number: false }, { text: "Figure", number: false }], data.checks.map((check) => {
    const [sign, name] = marks[check.verdict];
    return [check.statement, { node: element("span", { class: `verdict ${name}` }, sign + check.verdict) }, { node: document.createTextNode(check.figure) }];
  }));
  $("errors").textContent = `Means over ${data.images} images of ${data.data}; rates are the bytes of real files. Intervals hold 95 % of ` +
    `${data.resamplings} resamplings of the images; of distances between distributions, two jackknife errors. Between measured settings, ` +
    `curves are monotone cubics in the logarithm of the rate.`;
  $("sources").replaceChildren(...data.codecs.map((c) => element("li", {}, `${c.label}${c.kind === "published" ? ", published, as in" : ":"} ${c.description}`)));
}

// Start ----------------------------------------------------------------------------------------------------------

function drawAll() {
  redrawSpace();
  drawContours();
  drawPlane();
  drawCurves();
}

install(figures.palette);
const choice = $("measure"), rate = $("rate");
choice.append(...data.measures.map((m) => element("option", { value: m.key }, m.label)));
choice.addEventListener("change", () => { measure = data.measures[choice.selectedIndex]; drawAll(); });
rate.max = data.planes[measure.key].length - 1;
rate.value = Math.floor(rate.max / 2);
rate.addEventListener("input", drawPlane);
writeWords();
setUpBrowser();
setUpSpace(redrawSpace);
drawLegends();
drawAll();
let pending = 0;
addEventListener("resize", () => { cancelAnimationFrame(pending); pending = requestAnimationFrame(drawAll); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
