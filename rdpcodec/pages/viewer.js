
// The viewer: two images of one size on a stage, with a wipe between them, zoom and pan -----------------------------

const SIDES = ["left", "right"];
const MOST_PIXELS = 32; // of the screen, for one of the image, along a side
const PIXELATED = 2; // from here on pixels are shown as squares

// holder: an element to fill.
function createViewer(holder) {
  const layers = SIDES.map((side) => element("div", { class: `layer ${side}` }));
  const tags = SIDES.map((side) => element("span", { class: `tag ${side}` }));
  const wipe = element("div", {
    class: "wipe", role: "slider", tabindex: 0, "aria-label": "Wipe between the two images", "aria-orientation": "horizontal",
    "aria-valuemin": 0, "aria-valuemax": 100,
  });
  const stage = element("div", {
    class: "stage", tabindex: 0, role: "group",
    "aria-label": "Images. Plus and minus zoom, 0 fits, 1 shows pixel for pixel, arrow keys move.",
  }, layers[1], layers[0], ...tags, wipe);
  const zoomed = element("output", { "aria-label": "Zoom" });
  const button = (text, label, action) => {
    const made = element("button", { type: "button", "aria-label": label, title: label }, text);
    made.addEventListener("click", action);
    return made;
  };
  const tools = element("div", { class: "tools", role: "group", "aria-label": "View" },
    button("−", "Zoom out", () => zoomBy(1 / 2)), zoomed, button("+", "Zoom in", () => zoomBy(2)),
    button("Fit", "Fit into the window", () => fit()), button("1:1", "Pixel for pixel", () => zoomTo(1)),
    button("⇄", "Swap the two sides", () => viewer.swapped?.()),
    element("span", { class: "hint" }, "Drag the line to wipe, the image to move; Ctrl + wheel or pinch zooms"));
  holder.replaceChildren(stage, tools);

  let size = [1, 1]; // of the images, in their pixels
  let scale = 1; // screen pixels per image pixel
  let corner = [0, 0]; // of the images on the stage, in CSS pixels
  let fitted = true, share = 0.5;
  const names = ["", ""];
  const ratio = () => devicePixelRatio || 1;
  const extent = () => size.map((length) => length * scale / ratio());
  const room = () => [stage.clientWidth, stage.clientHeight];

  function fitting() {
    const [width, height] = room();
    const contained = Math.min(width / size[0], height / size[1]) * ratio();
    // Where single pixels can be told apart, all have the same size.
    return contained < PIXELATED ? contained : Math.min(Math.floor(contained), MOST_PIXELS);
  }
  function draw() {
    const space = room(), shown = extent();
    corner = corner.map((at, i) => (shown[i] <= space[i] ? (space[i] - shown[i]) / 2 : Math.min(0, Math.max(space[i] - shown[i], at))));
    const snapped = corner.map((at) => Math.round(at * ratio()) / ratio());
    for (const layer of layers) {
      const style = layer.firstChild?.style;
      if (style) [style.left, style.top, style.width, style.height] = [...snapped, ...shown].map((length) => `${length}px`);
    }
    stage.classList.toggle("pixelated", scale >= PIXELATED);
    stage.classList.toggle("zoomed", shown.some((length, i) => length > space[i] + 0.5));
    zoomed.textContent = `${scale < 0.1 ? (scale * 100).toFixed(1) : Math.round(scale * 100)} %`;
  }
  function drawWipe() {
    const percent = 100 * share;
    layers[0].style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
    layers[1].style.clipPath = `inset(0 0 0 ${percent}%)`;
    wipe.style.left = `${percent}%`;
    const rounded = Math.round(percent);
    wipe.setAttribute("aria-valuenow", rounded);
    wipe.setAttribute("aria-valuetext", `${rounded} % ${names[0]}, ${100 - rounded} % ${names[1]}`);
  }
  function wipeTo(to) {
    share = Math.min(Math.max(to, 0), 1);
    drawWipe();
  }
  // at: the point of the stage that stays where it is.
  function zoomTo(to, at = room().map((length) => length / 2)) {
    const least = Math.min(fitting(), 1), wanted = Math.min(Math.max(to, least), MOST_PIXELS);
    corner = corner.map((c, i) => at[i] - (at[i] - c) * wanted / scale);
    scale = wanted;
    fitted = false;
    draw();
  }
  const zoomBy = (factor, at) => zoomTo(scale * factor, at);
  function fit() {
    scale = fitting();
    corner = [0, 0];
    fitted = true;
    draw();
  }
  function moveBy(x, y) {
    corner = [corner[0] + x, corner[1] + y];
    draw();
  }
  const place = (event) => {
    const frame = stage.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };

  // Pointers: one on the wipe moves it, one on the stage moves the images, two zoom.
  wipe.addEventListener("pointerdown", (event) => {
    event.stopPropagation();
    wipe.setPointerCapture(event.pointerId);
    wipe.focus();
  });
  wipe.addEventListener("pointermove", (event) => {
    if (wipe.hasPointerCapture(event.pointerId)) wipeTo(place(event)[0] / stage.clientWidth);
  });
  const pointers = new Map();
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pointers.set(event.pointerId, place(event));
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("dragged");
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = place(event), other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const apart = (point) => Math.max(1, Math.hypot(point[0] - other[0], point[1] - other[1]));
      zoomBy(apart(now) / apart(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    }
    const weight = other ? 0.5 : 1;
    moveBy((now[0] - before[0]) * weight, (now[1] - before[1]) * weight);
    pointers.set(event.pointerId, now);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    stage.addEventListener(kind, (event) => {
      pointers.delete(event.pointerId);
      if (!pointers.size) stage.classList.remove("dragged");
    });
  }
  stage.addEventListener("dblclick", (event) => (fitted ? zoomTo(Math.max(2, 2 * scale), place(event)) : fit()));
  // A plain wheel scrolls the page; browsers report a pinch on a touchpad as a wheel with Ctrl.
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.004)), place(event));
  }, { passive: false });

  wipe.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 0.1 : 0.01;
    const to = {
      ArrowLeft: share - step, ArrowDown: share - step, ArrowRight: share + step, ArrowUp: share + step,
      PageDown: share - 0.1, PageUp: share + 0.1, Home: 0, End: 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    wipeTo(to);
  });
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = {
      "+": () => zoomBy(2), "=": () => zoomBy(2), "-": () => zoomBy(1 / 2), 0: fit, 1: () => zoomTo(1),
      ArrowLeft: () => moveBy(60, 0), ArrowRight: () => moveBy(-60, 0), ArrowUp: () => moveBy(0, 60), ArrowDown: () => moveBy(0, -60),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  new ResizeObserver(() => (fitted ? fit() : draw())).observe(stage);

  function name(side, text) {
    names[side] = text;
    tags[side].textContent = text;
    drawWipe();
  }

  const viewer = {
    // image: a loaded <img>, on one side only; title: the name of its side.
    show(side, image, title) {
      const other = [image.naturalWidth, image.naturalHeight];
      const changed = other[0] !== size[0] || other[1] !== size[1];
      size = other;
      stage.style.aspectRatio = `${size[0]} / ${size[1]}`;
      image.alt = title;
      image.draggable = false;
      layers[side].replaceChildren(image);
      if (changed) fit();
      else draw();
      name(side, title);
    },
    clear(side, title) {
      layers[side].replaceChildren();
      name(side, title);
    },
    fit,
    swapped: null, // for the caller to set: what the button does
  };
  drawWipe();
  return viewer;
}

// The figures of a coded image, as a list of terms.
function figureList(figures) {
  return element("dl", { class: "figures" }, ...figures.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value))));
}
const count = (value) => value.toLocaleString("en");
const METRIC_FORMS = { psnr: (v) => `${fixed(v, 2)} dB`, ms_ssim: (v) => fixed(v, 4), ssimulacra2: (v) => fixed(v, 1), lpips: (v) => fixed(v, 4) };
const metricText = (name, value) => (value === null || value === undefined ? "–" : METRIC_FORMS[name](value));
