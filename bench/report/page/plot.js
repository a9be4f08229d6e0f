// Draws what bench/report/figures.py describes: charts as SVG, the surface on a canvas.

const tip = $("tip");
function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${y + 14 + height > innerHeight ? Math.max(8, y - height - 14) : y + 14}px`;
}
const hideTip = () => { tip.hidden = true; };

// Colours and axes -----------------------------------------------------------------------------------------------

const inHex = (name) => name.startsWith("#");
const colour = (name) => (inHex(name) ? name : `var(--${name})`);
const painted = (name) => (inHex(name) ? name : getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());

// Makes the palette's names properties of the page, for light and dark.
function install(palette) {
  const rules = (i) => `:root{${Object.entries(palette).map(([name, shades]) => `--${name}:${shades[i]};`).join("")}}`;
  document.head.append(element("style", {}, `${rules(0)}@media (prefers-color-scheme: dark){${rules(1)}}`));
}

const labelOf = (axis) => axis.name + (axis.unit && `, ${axis.unit}`);
const formed = (axis, value) => (axis.decimals === null ? digits(value) : fixed(value, axis.decimals));
const scaled = (value, log) => (log ? Math.log2(value) : value);
// A value's place on its axis, 0 to 1.
function share(axis, value) {
  const [low, high] = axis.domain.map((end) => scaled(end, axis.log));
  const along = (scaled(value, axis.log) - low) / (high - low);
  return axis.flip ? 1 - along : along;
}
// Every tick, or every second or third, so that no more than `count` are left.
const someTicks = (axis, count) => axis.ticks.filter((_, i) => i % Math.ceil(axis.ticks.length / count) === 0);

function told(series, point, axes) {
  const rows = axes.map(([axis, value, range]) => `${axis.name}: ${formed(axis, value)}${axis.unit && ` ${axis.unit}`}` +
    (range ? ` (${formed(axis, range[0])} to ${formed(axis, range[1])})` : ""));
  return [series.label, ...(point.note ? [point.note] : []), ...rows].join("\n");
}

const legendEntry = (tag, attributes, style, text) =>
  element(tag, attributes, element("i", { class: style.dash ? "dashed" : "", style: `border-color:${colour(style.colour)}` }), text);

// Charts: SVG ----------------------------------------------------------------------------------------------------

// holder: an element; chart: see `Chart` in figures.py; hidden: codecs that are left out; height in pixels;
// shade: whether to shade the region that the point under the mouse dominates.
function drawChart(holder, { x, y, series, gutter }, { hidden = new Set(), height, shade } = {}) {
  const drawn = series.filter((s) => !hidden.has(s.codec));
  if (!drawn.length) {
    holder.replaceChildren(element("p", { class: "note" }, "Nothing was measured here."));
    return;
  }
  const width = Math.max(holder.clientWidth, 260), tall = height ?? Math.min(Math.max(width * 0.62, 260), 430);
  const named = drawn.filter((s) => s.end && (width > 480 || (!gutter && !s.dash)));
  const inGutter = gutter && named.length > 0;
  const box = { left: 56, right: width - (inGutter ? 146 : 14), top: 10, bottom: tall - 44 };
  const px = (value) => box.left + share(x, value) * (box.right - box.left);
  const py = (value) => box.bottom - share(y, value) * (box.bottom - box.top);
  const svg = element("svg", { viewBox: `0 0 ${width} ${tall}`, height: tall, role: "img", "aria-label": `${labelOf(y)} over ${labelOf(x)}` });
  drawFrame(svg, box, x, y, px, py);
  const shaded = element("rect", { fill: "var(--ours)", opacity: 0.09, visibility: "hidden" });
  svg.append(shaded);
  drawn.forEach((s) => drawSeries(svg, s, px, py));
  drawNames(svg, named.map((s) => ({ s, at: s.points[s.points.length - 1] })).map(({ s, at }) => [px(at.x), py(at.y), s.end, colour(s.colour)]), box, width, inGutter);
  const mark = element("circle", { r: 6, fill: "none", stroke: "var(--ink)", "stroke-width": 1.5, visibility: "hidden" });
  svg.append(mark);
  const leave = () => { hideTip(); for (const one of [mark, shaded]) one.setAttribute("visibility", "hidden"); };
  svg.addEventListener("pointermove", (event) => {
    const frame = svg.getBoundingClientRect(), mx = event.clientX - frame.left, my = event.clientY - frame.top;
    const all = drawn.flatMap((s) => s.points.map((p) => ({ s, p, cx: px(p.x), cy: py(p.y) })));
    const best = nearest(all, ({ cx, cy }) => Math.hypot(cx - mx, cy - my), 32);
    if (!best) return leave();
    const { s, p, cx, cy } = best;
    set(mark, { cx, cy, visibility: "visible" });
    if (shade) set(shaded, { x: cx, y: box.top, width: Math.max(0, box.right - cx), height: Math.max(0, cy - box.top), visibility: "visible" });
    showTip(told(s, p, [[x, p.x, p.x_range], [y, p.y, p.y_range]]), event.clientX, event.clientY);
  });
  svg.addEventListener("pointerleave", leave);
  holder.replaceChildren(svg);
}

const set = (node, attributes) => Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));

// The item at the least distance, if that is less than `most`.
function nearest(items, distance, most) {
  const ranked = items.map((item) => [distance(item), item]).filter(([d]) => d < most).sort((a, b) => a[0] - b[0]);
  return ranked[0]?.[1];
}

function drawFrame(svg, box, x, y, px, py) {
  for (const value of someTicks(x, Math.floor((box.right - box.left) / 48))) {
    svg.append(element("line", { class: "axis", x1: px(value), x2: px(value), y1: box.top, y2: box.bottom }),
      element("text", { x: px(value), y: box.bottom + 17, "text-anchor": "middle" }, digits(value)));
  }
  for (const value of someTicks(y, Math.floor((box.bottom - box.top) / 26))) {
    svg.append(element("line", { class: "axis", x1: box.left, x2: box.right, y1: py(value), y2: py(value) }),
      element("text", { x: box.left - 8, y: py(value) + 4, "text-anchor": "end" }, digits(value)));
  }
  svg.append(element("rect", { class: "frame", x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }),
    element("text", { x: (box.left + box.right) / 2, y: box.bottom + 38, "text-anchor": "middle" }, labelOf(x)),
    element("text", { transform: `translate(13 ${(box.top + box.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, labelOf(y)));
}

function drawSeries(svg, s, px, py) {
  const stroke = colour(s.colour), at = s.points.map((p) => [px(p.x), py(p.y)]);
  if (s.band && s.points.every((p) => p.y_range)) {
    const edge = (i) => s.points.map((p) => `${px(p.x)} ${py(p.y_range[i])}`);
    svg.append(element("path", { d: `M${[...edge(1), ...edge(0).reverse()].join("L")}Z`, fill: stroke, opacity: 0.08 }));
  }
  svg.append(element("path", { d: `M${at.map((p) => p.join(" ")).join("L")}`, fill: "none", stroke, opacity: s.opacity,
    "stroke-width": s.width, "stroke-dasharray": s.dash?.join(" "), "stroke-linejoin": "round" }));
  s.points.forEach((p, i) => {
    const [cx, cy] = at[i];
    if (s.bars && p.x_range) svg.append(element("line", { x1: px(p.x_range[0]), x2: px(p.x_range[1]), y1: cy, y2: cy, stroke, opacity: 0.35 }));
    if (s.bars && p.y_range) svg.append(element("line", { x1: cx, x2: cx, y1: py(p.y_range[0]), y2: py(p.y_range[1]), stroke, opacity: 0.35 }));
    if (s.dot) svg.append(element("circle", { cx, cy, r: s.dot, fill: stroke, opacity: s.opacity }));
  });
}

// Names at the ends of curves, or in the gutter with lines to those ends; pushed apart where they would overlap.
function drawNames(svg, ends, box, width, inGutter) {
  ends.sort((a, b) => a[1] - b[1]);
  const lift = Math.min(0, box.bottom - (ends[0]?.[1] ?? 0) - 13 * ends.length);
  let last = -Infinity;
  for (const [endX, endY, text, fill] of ends) {
    const labelY = last = Math.max(endY + (inGutter ? lift : 0), last + 13);
    const left = endX > width - 110;
    if (inGutter) svg.append(element("path", { class: "leader", fill: "none", d: `M${endX + 3} ${endY}L${box.right + 6} ${labelY}` }));
    svg.append(inGutter
      ? element("text", { x: box.right + 9, y: labelY + 4, style: `fill:${fill}` }, text)
      : element("text", { x: endX + (left ? -9 : 9), y: labelY + (left ? -7 : 4), "text-anchor": left ? "end" : "start", style: `fill:${fill}` }, text));
  }
}

// The surface in three dimensions: canvas ------------------------------------------------------------------------

const HOME = { yaw: 0.62, pitch: 0.42 };
const view = { ...HOME };
let shownPoints = []; // on the canvas, for tooltips

// surface: see `_surface` in figures.py.
function drawSpace(surface) {
  const canvas = $("space"), ratio = Math.min(devicePixelRatio || 1, 2);
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const { axes, mesh, series } = surface;
  const unit = (value, axis) => 2 * share(axis, value) - 1;
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
    const values = someTicks(axis, width < 520 ? 4 : 8);
    pen.strokeStyle = painted("line");
    pen.fillStyle = painted("soft");
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
    pen.fillStyle = painted("ink");
    if (which === 0) write(labelOf(axis), [0, -backY, -1], [0, -0.42 * backY, 0]);
    else if (which === 1) write(labelOf(axis), [-backX, 0, -1], [-0.42 * backX, 0, 0]);
    else {
      const edge = project([-backX, backY, 0])[0] < project([backX, -backY, 0])[0] ? [-backX, backY] : [backX, -backY];
      const [x, y] = project([...edge, 1]);
      pen.textAlign = "center";
      pen.fillText(labelOf(axis), Math.max(x, pen.measureText(labelOf(axis)).width / 2), y - 18);
    }
  });
  // Faces, lines and dots from back to front.
  const items = [];
  const at = (x, y, z) => project([unit(x, axes[0]), unit(y, axes[1]), unit(z, axes[2])]);
  const grid = mesh.z.map((z, i) => mesh.x[i].map((x, k) => at(x, mesh.y[i][k], z)));
  const ink = painted("ink");
  for (let i = 0; i + 1 < grid.length; i++) {
    if (grid[i].length === 1) {
      items.push({ depth: (grid[i][0][2] + grid[i + 1][0][2]) / 2, path: [grid[i][0], grid[i + 1][0]], stroke: painted("ours"), width: 3 });
    }
    for (let k = 0; k + 1 < grid[i].length; k++) {
      const quad = [grid[i][k], grid[i + 1][k], grid[i + 1][k + 1], grid[i][k + 1]];
      items.push({ depth: quad.reduce((sum, p) => sum + p[2], 0) / 4, path: quad, fill: `${mesh.colours[i]}d1`, stroke: `color-mix(in srgb, ${ink} 16%, transparent)`, width: 0.6 });
    }
  }
  shownPoints = [];
  for (const s of series) {
    const stroke = painted(s.colour), places = s.points.map((p) => at(p.x, p.y, p.z));
    places.forEach((p, i) => {
      if (s.width && i) items.push({ depth: (p[2] + places[i - 1][2]) / 2, path: [places[i - 1], p], stroke, width: s.width });
      items.push({ depth: p[2] - 0.01, dot: p, fill: stroke, radius: s.dot });
      const { x, y, z } = s.points[i];
      shownPoints.push({ x: p[0], y: p[1], depth: p[2], text: told(s, s.points[i], [[axes[2], z], [axes[0], x], [axes[1], y]]) });
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

// redraw: draws the surface that is shown.
function setUpSpace(redraw) {
  const canvas = $("space");
  let held = null;
  const turn = (yaw, pitch) => {
    view.yaw += yaw;
    view.pitch = Math.min(Math.max(view.pitch + pitch, 0), Math.PI / 2);
    requestAnimationFrame(redraw);
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
  $("reset").addEventListener("click", () => { Object.assign(view, HOME); redraw(); });
}
