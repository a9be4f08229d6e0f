const ours = data.codecs.find((codec) => codec.kind === "ours");
const measureByKey = Object.fromEntries(data.measures.map((m) => [m.key, m]));
let measure = data.measures[0];
const hidden = new Set(); // labels of curves that the reader switched off
const hasDial = data.realisms.length > 1;

// Elements and words ---------------------------------------------------------------------------------------------

const FORMS = {
  bpp: ["Rate", (v) => `${fixed(v, 3)} bits per pixel`],
  psnr: ["PSNR", (v) => `${fixed(v, 2)} dB`],
  ms_ssim: ["MS-SSIM", (v) => fixed(v, 4)],
};
const formOf = (metric) => FORMS[metric] ?? [measureByKey[metric].label, (v) => digits(v)];

function described(metric, value, interval) {
  const [label, form] = formOf(metric);
  return `${label}: ${form(value)}` + (interval ? ` (${digits(interval[0])} to ${digits(interval[1])})` : "");
}

const tip = $("tip");
function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${y + 14 + height > innerHeight ? Math.max(8, y - height - 14) : y + 14}px`;
}
const hideTip = () => { tip.hidden = true; };

// Colours --------------------------------------------------------------------------------------------------------

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const peers = data.codecs.filter((codec) => codec.kind === "peer");
const colourName = (codec) => codec.kind === "peer" ? `--peer-${peers.indexOf(codec) % 5}` : `--${codec.kind}`;
// Realism 0 is the strongest line, realism 1 the palest.
const strength = (realism) => 1 - 0.62 * realism;
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
function viridis(t, alpha = 1) {
  const at = Math.min(Math.max(t, 0), 1) * (VIRIDIS.length - 1), i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  const [r, g, b] = VIRIDIS[i].map((low, k) => Math.round(low + (VIRIDIS[i + 1][k] - low) * (at - i)));
  return `rgb(${r} ${g} ${b} / ${alpha})`;
}

// Scales and ticks -----------------------------------------------------------------------------------------------

function ticks(low, high, log, count) {
  if (!log) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw);
    const first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  }
  for (const steps of [[1, 1.5, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 5], [1, 2, 5], [1, 3], [1]]) {
    const found = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) {
      for (const step of steps) {
        const value = Number((step * 10 ** p).toPrecision(6));
        if (value >= low * 0.9999 && value <= high * 1.0001) found.push(value);
      }
    }
    if (found.length <= count + 1) return found;
  }
  return [low, high];
}
const scaled = (value, log) => (log ? Math.log2(value) : value);

function domain(values, log, margin = 0.06) {
  const known = values.filter((v) => v !== null && Number.isFinite(v) && (!log || v > 0)).map((v) => scaled(v, log));
  let low = Math.min(...known), high = Math.max(...known);
  if (low === high) { low -= 0.5; high += 0.5; }
  const room = (high - low) * margin;
  return [low - room, high + room].map((v) => (log ? 2 ** v : v));
}

// Charts: SVG ----------------------------------------------------------------------------------------------------

// axis: {label, log, flip}; series: {label, colour, opacity, width, dash, dots, band, cross, endLabel, minor: not labelled where
// there is little room, points: [{x, y, xRange, yRange, title, tip}]}.
// labels: "gutter" for room at the right edge, "beside" the last point.
function chart(holder, { x, y, series, height, shade, labels }) {
  holder.replaceChildren();
  const drawn = series.map((s) => ({ ...s, points: s.points.filter((p) => p.x !== null && p.y !== null) })).filter((s) => s.points.length);
  if (!drawn.length) {
    holder.append(element("p", { class: "note" }, "Nothing was measured here."));
    return;
  }
  const width = Math.max(holder.clientWidth, 260), tall = height ?? Math.min(Math.max(width * 0.62, 260), 430);
  const gutter = labels === "gutter" && width > 480 && drawn.some((s) => s.endLabel);
  const box = { left: 56, right: width - (gutter ? 146 : 14), top: 10, bottom: tall - 44 };
  const points = drawn.flatMap((s) => s.points);
  const xs = domain(points.flatMap((p) => [p.x, ...(p.xRange ?? [])]), x.log), ys = domain(points.flatMap((p) => [p.y, ...(p.yRange ?? [])]), y.log);
  const place = (axis, [low, high], from, to) => (value) => {
    const share = (scaled(value, axis.log) - scaled(low, axis.log)) / (scaled(high, axis.log) - scaled(low, axis.log));
    return axis.flip ? to - share * (to - from) : from + share * (to - from);
  };
  const px = place(x, xs, box.left, box.right), py = place(y, ys, box.bottom, box.top);
  const svg = element("svg", { viewBox: `0 0 ${width} ${tall}`, height: tall, role: "img", "aria-label": `${y.label} over ${x.label}` });
  for (const value of ticks(...xs, x.log, Math.max(3, Math.floor(width / 90)))) {
    svg.append(element("line", { class: "axis", x1: px(value), x2: px(value), y1: box.top, y2: box.bottom }),
      element("text", { x: px(value), y: box.bottom + 17, "text-anchor": "middle" }, digits(value)));
  }
  for (const value of ticks(...ys, y.log, Math.max(3, Math.floor(tall / 58)))) {
    svg.append(element("line", { class: "axis", x1: box.left, x2: box.right, y1: py(value), y2: py(value) }),
      element("text", { x: box.left - 8, y: py(value) + 4, "text-anchor": "end" }, digits(value)));
  }
  svg.append(element("rect", { class: "frame", x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }),
    element("text", { x: (box.left + box.right) / 2, y: tall - 6, "text-anchor": "middle" }, x.label),
    element("text", { transform: `translate(13 ${(box.top + box.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, y.label));
  const shaded = element("rect", { fill: "var(--ours)", opacity: 0.09, visibility: "hidden" });
  svg.append(shaded);
  const ends = [];
  for (const s of drawn) {
    const at = s.points.map((p) => [px(p.x), py(p.y)]);
    const band = s.points.every((p) => p.yRange) && s.band;
    if (band) {
      const upper = s.points.map((p) => `${px(p.x)} ${py(p.yRange[1])}`), lower = s.points.map((p) => `${px(p.x)} ${py(p.yRange[0])}`).reverse();
      svg.append(element("path", { d: `M${[...upper, ...lower].join("L")}Z`, fill: s.colour, opacity: 0.08 }));
    }
    svg.append(element("path", {
      d: `M${at.map((p) => p.join(" ")).join("L")}`, fill: "none", stroke: s.colour, opacity: s.opacity ?? 1,
      "stroke-width": s.width ?? 1.6, "stroke-dasharray": s.dash, "stroke-linejoin": "round",
    }));
    s.points.forEach((p, i) => {
      if (s.cross && p.xRange) svg.append(element("line", { x1: px(p.xRange[0]), x2: px(p.xRange[1]), y1: at[i][1], y2: at[i][1], stroke: s.colour, opacity: 0.35 }));
      if (s.cross && p.yRange) svg.append(element("line", { x1: at[i][0], x2: at[i][0], y1: py(p.yRange[0]), y2: py(p.yRange[1]), stroke: s.colour, opacity: 0.35 }));
      if (s.dots) svg.append(element("circle", { cx: at[i][0], cy: at[i][1], r: s.dots, fill: s.colour, opacity: s.opacity ?? 1 }));
    });
    if (s.endLabel && (gutter || (labels === "beside" && (width > 480 || !s.minor)))) ends.push([...at[at.length - 1], s.endLabel, s.colour]);
  }
  // Labels, pushed apart where they would cover each other: in the gutter with a line to where they belong, or there.
  ends.sort((a, b) => a[1] - b[1]);
  const lift = Math.min(0, box.bottom - (ends[0]?.[1] ?? 0) - 13 * ends.length);
  let last = -Infinity;
  for (const [endX, endY, text, colour] of ends) {
    const labelY = Math.max(endY + (gutter ? lift : 0), last + 13);
    last = labelY;
    if (gutter) {
      svg.append(element("path", { class: "leader", fill: "none", d: `M${endX + 3} ${endY}L${box.right + 6} ${labelY}` }),
        element("text", { x: box.right + 9, y: labelY + 4, style: `fill:${colour}` }, text));
    } else {
      const right = endX > width - 110;
      svg.append(element("text", { x: endX + (right ? -9 : 9), y: labelY + (right ? -7 : 4), "text-anchor": right ? "end" : "start", style: `fill:${colour}` }, text));
    }
  }
  const mark = element("circle", { r: 6, fill: "none", stroke: "var(--ink)", "stroke-width": 1.5, visibility: "hidden" });
  svg.append(mark);
  svg.addEventListener("pointermove", (event) => {
    const frame = svg.getBoundingClientRect(), mx = event.clientX - frame.left, my = event.clientY - frame.top;
    let best = null, least = 32 ** 2;
    for (const s of drawn) for (const p of s.points) {
      const distance = (px(p.x) - mx) ** 2 + (py(p.y) - my) ** 2;
      if (distance < least) { least = distance; best = [s, p]; }
    }
    const show = best ? "visible" : "hidden";
    mark.setAttribute("visibility", show);
    if (shade) shaded.setAttribute("visibility", show);
    if (!best) return hideTip();
    const [s, p] = best, cx = px(p.x), cy = py(p.y);
    mark.setAttribute("cx", cx);
    mark.setAttribute("cy", cy);
    if (shade) for (const [key, value] of Object.entries({ x: cx, y: box.top, width: Math.max(0, box.right - cx), height: Math.max(0, cy - box.top) })) shaded.setAttribute(key, value);
    showTip(`${p.title ?? s.label}\n${p.tip}`, event.clientX, event.clientY);
  });
  svg.addEventListener("pointerleave", () => { hideTip(); mark.setAttribute("visibility", "hidden"); shaded.setAttribute("visibility", "hidden"); });
  holder.append(svg);
}

const RATE_AXIS = { label: "bits per pixel", log: true };
const PSNR_AXIS = { label: "PSNR, dB", log: false };
const perceptionAxis = () => ({ label: measure.label, log: measure.log });

function pointTip(point, metrics) {
  const dials = point.quality === undefined ? "" : `setting ${digits(point.quality, 4)}\n`;
  return dials + metrics.filter((m) => point[m] !== undefined && point[m] !== null).map((m) => described(m, point[m], point.interval?.[m])).join("\n");
}

// A codec's curves over rate: one for each realism of ours.
function rateSeries(metric) {
  const all = [];
  for (const codec of data.codecs) {
    if (hidden.has(codec.label)) continue;
    const published = codec.kind === "published";
    for (const realism of [...new Set(codec.points.map((p) => p.realism ?? 0))]) {
      const points = codec.points.filter((p) => (p.realism ?? 0) === realism && p[metric] !== undefined);
      const named = codec.kind === "ours" && hasDial ? `${codec.label}, realism ${realism}` : codec.label;
      all.push({
        label: published ? `${named} (published)` : named, colour: `var(${colourName(codec)})`, dash: published ? "5 4" : null,
        width: codec.kind === "ours" ? 2.6 : published ? 1.2 : 1.6, opacity: codec.kind === "ours" ? strength(realism) : 1, dots: published ? 0 : 2.6,
        band: codec.kind === "ours" && (realism === 0 || realism === 1), endLabel: published ? codec.label : null,
        points: points.map((p) => ({ x: p.bpp, y: p[metric], yRange: p.interval?.[metric], tip: pointTip(p, ["bpp", metric]) })),
      });
    }
  }
  return all;
}

function drawCurves() {
  const ranged = (metric) => {
    // Published curves reach far beyond the rates measured here: cut there.
    const own = ours.points.map((p) => p.bpp), low = Math.min(...own) * 0.8, high = Math.max(...own) * 1.3;
    return rateSeries(metric).map((s) => ({ ...s, points: s.points.filter((p) => p.x >= low && p.x <= high) }));
  };
  const decibel = (v) => (v === null || v === undefined ? null : -10 * Math.log10(1 - v));
  chart($("psnr-chart"), { x: RATE_AXIS, y: PSNR_AXIS, series: ranged("psnr"), labels: "gutter" });
  chart($("ms-ssim-chart"), {
    labels: "gutter", x: RATE_AXIS, y: { label: "MS-SSIM, dB", log: false },
    series: ranged("ms_ssim").map((s) => ({ ...s, points: s.points.map((p) => ({ ...p, y: decibel(p.y), yRange: p.yRange?.map(decibel) })) })),
  });
  chart($("perception-chart"), { x: RATE_AXIS, y: perceptionAxis(), series: ranged(measure.key), height: 380, labels: "gutter" });
}

function drawContours() {
  $("no-contours").hidden = hasDial;
  document.querySelector("#contours .pair").hidden = !hasDial;
  document.querySelector("#contours .lead").hidden = !hasDial;
  if (!hasDial) return;
  const { equal_perception: perception, equal_distortion: distortion } = data.contours[measure.key];
  const lines = (list, form, metric) => list.map(({ level, line }, i) => ({
    label: form(level), colour: viridis(0.08 + 0.77 * i / Math.max(1, list.length - 1)), width: 2.2,
    points: line.map(([bpp, value]) => ({ x: bpp, y: value, tip: pointTip({ bpp, [metric]: value }, ["bpp", metric]) })),
  }));
  for (const [id, y, series] of [
    ["equal-perception", PSNR_AXIS, lines(perception, (v) => `${measure.label} ${digits(v, 2)}`, "psnr")],
    ["equal-distortion", perceptionAxis(), lines(distortion, (v) => `${fixed(v, 1)} dB`, measure.key)],
  ]) {
    chart($(id), { x: RATE_AXIS, y, series });
    $(id).append(element("div", { class: "legend" }, ...series.map((s) =>
      element("span", {}, element("i", { style: `border-color:${s.colour}` }), s.label.replace(`${measure.label} `, "")))));
  }
}

function drawPlane() {
  const planes = data.planes[measure.key], plane = planes[Number($("rate").value)];
  $("rate-value").textContent = `${digits(plane.bpp)} bits per pixel`;
  $("rate").setAttribute("aria-valuetext", `${digits(plane.bpp)} bits per pixel`);
  const nameOf = (m) => (m.codec === ours.name && hasDial ? `${m.label}, realism ${m.realism}` : m.label);
  const series = data.codecs.map((codec) => ({
    label: codec.label, colour: `var(${colourName(codec)})`, width: 2, dots: 4.5, cross: true,
    minor: codec.kind === "published",
    endLabel: codec.kind === "ours" && hasDial ? `${codec.label}, realism 1` : codec.label + (codec.kind === "published" ? " (published)" : ""),
    points: plane.methods.filter((m) => m.codec === codec.name).map((m) => ({
      x: m.psnr, y: m.perception, xRange: m.psnr_interval, yRange: m.perception_interval, title: nameOf(m),
      tip: [described("psnr", m.psnr, m.psnr_interval), described(measure.key, m.perception, m.perception_interval)].join("\n"),
    })),
  }));
  chart($("plane-chart"), { x: { ...PSNR_AXIS, flip: true }, y: perceptionAxis(), series, shade: true, labels: "beside" });
  const list = element("dl");
  plane.methods.forEach((method, i) => {
    const worse = plane.dominance.filter(([better]) => better === i);
    if (!worse.length) return;
    const parts = worse.flatMap(([, j, share], k) => [
      k ? ", " : "", element("b", {}, nameOf(plane.methods[j])), share === null ? "" : ` ${Math.round(100 * share)} %`,
    ]);
    list.append(element("dt", {}, nameOf(method)), element("dd", {}, "dominates ", ...parts));
  });
  $("dominance").replaceChildren(
    list.children.length ? list : element("p", { class: "note" }, "No method is better than another in both."),
    element("p", { class: "quiet" }, "Percentages: in how many resamplings of the images it is so."),
  );
}

function drawLegend() {
  $("curve-legend").replaceChildren(...data.codecs.map((codec) => {
    const button = element("button", { type: "button", "aria-pressed": !hidden.has(codec.label) },
      element("i", { class: codec.kind === "published" ? "dashed" : "", style: `border-color:var(${colourName(codec)})` }),
      codec.label + (codec.kind === "published" ? " (published)" : ""));
    button.addEventListener("click", () => {
      hidden.has(codec.label) ? hidden.delete(codec.label) : hidden.add(codec.label);
      drawCurves();
      button.setAttribute("aria-pressed", !hidden.has(codec.label));
    });
    return button;
  }));
}

// The surface in three dimensions: canvas ------------------------------------------------------------------------

const HOME = { yaw: 0.62, pitch: 0.42 };
const view = { ...HOME };
let shownPoints = []; // on the canvas, for tooltips

function drawSpace() {
  const canvas = $("space"), ratio = Math.min(devicePixelRatio || 1, 2);
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const mesh = data.mesh[measure.key];
  const curves = [ours, ...peers].filter((codec) => codec.points.every((p) => p[measure.key] !== undefined));
  const points = curves.flatMap((codec) => codec.points);
  // x: PSNR, y: perception, z: rate; each to −1 … 1.
  const axes = [
    { label: "PSNR, dB", log: false, domain: domain(points.map((p) => p.psnr), false, 0.04) },
    { label: measure.label, log: measure.log, domain: domain(points.map((p) => p[measure.key]), measure.log, 0.04) },
    { label: "bits per pixel", log: true, domain: domain(points.map((p) => p.bpp), true, 0.04) },
  ];
  const unit = (value, { log, domain: [low, high] }) =>
    2 * (scaled(value, log) - scaled(low, log)) / (scaled(high, log) - scaled(low, log)) - 1;
  const cosY = Math.cos(view.yaw), sinY = Math.sin(view.yaw), cosP = Math.cos(view.pitch), sinP = Math.sin(view.pitch);
  const size = Math.min(width / 3.5, height / 2.9);
  const project = ([x, y, z]) => {
    const along = x * cosY - y * sinY, deep = x * sinY + y * cosY;
    return [width / 2 + size * along, height / 2 - size * (0.8 * z * cosP + deep * sinP) - 4, deep * cosP - z * sinP];
  };
  const line = (from, to) => {
    const [a, b] = [project(from), project(to)];
    pen.beginPath();
    pen.moveTo(a[0], a[1]);
    pen.lineTo(b[0], b[1]);
    pen.stroke();
  };
  // The three faces away from the reader carry the grid, their outer edges the ticks.
  const backX = sinY > 0 ? 1 : -1, backY = cosY > 0 ? 1 : -1;
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  const write = (text, at, outward) => {
    const [x, y] = project(at), [ox, oy] = project(at.map((v, i) => v + outward[i]));
    const length = Math.hypot(ox - x, oy - y) || 1, dx = (ox - x) / length, wide = pen.measureText(text).width;
    const left = ox - wide * (dx > 0.35 ? 0 : dx < -0.35 ? 1 : 0.5);
    pen.textAlign = "left";
    pen.fillText(text, Math.max(0, Math.min(left, width - wide)), oy);
  };
  pen.lineWidth = 1;
  axes.forEach((axis, which) => {
    const values = ticks(...axis.domain, axis.log, width < 520 ? 4 : 6);
    pen.strokeStyle = css("--line");
    pen.fillStyle = css("--soft");
    for (const value of values) {
      const at = unit(value, axis);
      if (which === 0) {
        line([at, -backY, -1], [at, backY, -1]);
        line([at, backY, -1], [at, backY, 1]);
        write(digits(value), [at, -backY, -1], [0, -0.1 * backY, 0]);
      } else if (which === 1) {
        line([-backX, at, -1], [backX, at, -1]);
        line([backX, at, -1], [backX, at, 1]);
        write(digits(value), [-backX, at, -1], [-0.1 * backX, 0, 0]);
      } else {
        line([-backX, backY, at], [backX, backY, at]);
        line([backX, -backY, at], [backX, backY, at]);
        const edge = project([-backX, backY, 0])[0] < project([backX, -backY, 0])[0] ? [-backX, backY] : [backX, -backY];
        const [x, y] = project([...edge, at]);
        pen.textAlign = "right";
        pen.fillText(digits(value), x - 8, y);
      }
    }
    pen.fillStyle = css("--ink");
    if (which === 0) write(axis.label, [0, -backY, -1], [0, -0.42 * backY, 0]);
    else if (which === 1) write(axis.label, [-backX, 0, -1], [-0.42 * backX, 0, 0]);
    else {
      const edge = project([-backX, backY, 0])[0] < project([backX, -backY, 0])[0] ? [-backX, backY] : [backX, -backY];
      const [x, y] = project([...edge, 1]);
      pen.textAlign = "center";
      pen.fillText(axis.label, Math.max(x, 46), y - 18);
    }
  });
  // Faces, lines and dots from back to front.
  const items = [];
  const [zLow, zHigh] = [mesh.bpp[0], mesh.bpp[mesh.bpp.length - 1]].map(Math.log2);
  const corner = (i, k) => project([unit(mesh.psnr[i][k], axes[0]), unit(mesh.perception[i][k], axes[1]), unit(mesh.bpp[i], axes[2])]);
  const grid = mesh.bpp.map((_, i) => mesh.realism.map((_, k) => corner(i, k)));
  const ink = css("--ink");
  for (let i = 0; i + 1 < mesh.bpp.length; i++) {
    const share = (Math.log2(mesh.bpp[i]) - zLow) / (zHigh - zLow);
    if (!hasDial) {
      items.push({ depth: (grid[i][0][2] + grid[i + 1][0][2]) / 2, path: [grid[i][0], grid[i + 1][0]], stroke: css("--ours"), width: 3 });
    }
    for (let k = 0; k + 1 < mesh.realism.length; k++) {
      const quad = [grid[i][k], grid[i + 1][k], grid[i + 1][k + 1], grid[i][k + 1]];
      items.push({ depth: quad.reduce((sum, p) => sum + p[2], 0) / 4, path: quad, fill: viridis(share, 0.82), stroke: `color-mix(in srgb, ${ink} 16%, transparent)`, width: 0.6 });
    }
  }
  shownPoints = [];
  for (const codec of curves) {
    const colour = css(colourName(codec));
    const at = codec.points.map((p) => project([unit(p.psnr, axes[0]), unit(p[measure.key], axes[1]), unit(p.bpp, axes[2])]));
    at.forEach((p, i) => {
      if (codec.kind === "peer" && i) items.push({ depth: (p[2] + at[i - 1][2]) / 2, path: [at[i - 1], p], stroke: colour, width: 1.8 });
      items.push({ depth: p[2] - 0.01, dot: p, fill: codec.kind === "ours" && hasDial ? ink : colour, radius: codec.kind === "ours" && hasDial ? 1.8 : 3.2 });
      const point = codec.points[i];
      const realism = codec.kind === "ours" && hasDial ? `, realism ${point.realism}` : "";
      shownPoints.push({ x: p[0], y: p[1], depth: p[2], text: `${codec.label}${realism}\n${pointTip(point, ["bpp", "psnr", measure.key])}` });
    });
  }
  items.sort((a, b) => b.depth - a.depth);
  pen.lineJoin = "round";
  for (const { path, dot, fill, stroke, width: thick, radius } of items) {
    pen.beginPath();
    if (dot) pen.arc(dot[0], dot[1], radius, 0, 7);
    else path.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    if (fill) {
      if (path) pen.closePath();
      pen.fillStyle = fill;
      pen.fill();
    }
    if (stroke) {
      pen.strokeStyle = stroke;
      pen.lineWidth = thick;
      pen.stroke();
    }
  }
}

function setUpSpace() {
  const canvas = $("space");
  let held = null;
  const turn = (yaw, pitch) => {
    view.yaw += yaw;
    view.pitch = Math.min(Math.max(view.pitch + pitch, 0), Math.PI / 2);
    requestAnimationFrame(drawSpace);
  };
  canvas.addEventListener("pointerdown", (event) => {
    held = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
    hideTip();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (held) {
      turn((event.clientX - held[0]) * -0.008, (event.clientY - held[1]) * 0.006);
      held = [event.clientX, event.clientY];
      return;
    }
    const frame = canvas.getBoundingClientRect(), x = event.clientX - frame.left, y = event.clientY - frame.top;
    const near = shownPoints.filter((p) => Math.hypot(p.x - x, p.y - y) < 12).sort((a, b) => a.depth - b.depth)[0];
    if (near) showTip(near.text, event.clientX, event.clientY);
    else hideTip();
  });
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => { held = null; });
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, -0.08], ArrowDown: [0, 0.08] }[event.key];
    if (!step) return;
    event.preventDefault();
    turn(...step);
  });
  $("reset").addEventListener("click", () => { Object.assign(view, HOME); drawSpace(); });
  $("space-legend").replaceChildren(
    element("span", {}, element("i", { style: "border-color:var(--ours)" }), hasDial ? `${ours.label}: surface, coloured by rate` : ours.label),
    ...peers.map((codec) => element("span", {}, element("i", { style: `border-color:var(${colourName(codec)})` }), codec.label)),
  );
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
    document.querySelector("#browser .lead").textContent = "Each image at each quality. These weights have no realism dial.";
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
  const names = { psnr: "PSNR", ms_ssim: "MS-SSIM", lpips_alex: "LPIPS" };
  table("bd-rates", ["against", ...columns.map((c) => names[c.metric] + (hasDial ? `, realism ${c.realism}` : ""))],
    rows.map((row) => [row.label + (row.published ? " (published)" : ""), ...row.cells.map((c) => withInterval(c, (v) => `${signed(v)} %`))]));
  const { bpp, psnr, lpips } = data.box;
  $("box").textContent = `The share of a box that lies under D(R, P): the least distortion with at most R bits per pixel and at most P of LPIPS. ` +
    `Smaller is better; a better codec always has a smaller one. The box: ${bpp.join(" to ")} bits per pixel, ${psnr.join(" to ")} dB, LPIPS ${lpips.join(" to ")}.`;
  table("volumes", ["codec", "volume"], data.volumes.map((v) => [v.label, withInterval(v, (x) => fixed(x, 4))]));
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
  drawSpace();
  drawContours();
  drawPlane();
  drawCurves();
}

const choice = $("measure");
choice.append(...data.measures.map((m) => element("option", { value: m.key }, m.label)));
choice.addEventListener("change", () => { measure = measureByKey[choice.value]; drawAll(); });
const rate = $("rate");
rate.max = data.planes[measure.key].length - 1;
rate.value = Math.floor((data.planes[measure.key].length - 1) / 2);
rate.addEventListener("input", drawPlane);
writeWords();
setUpBrowser();
setUpSpace();
drawLegend();
drawAll();
let pending = 0;
addEventListener("resize", () => { cancelAnimationFrame(pending); pending = requestAnimationFrame(drawAll); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
