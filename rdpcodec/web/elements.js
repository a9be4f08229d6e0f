// <img data-rdpc> and <rdpc-image>: elements that show a file, and follow their attributes.

const ATTRIBUTES = ["data-rdpc", "realism"];

// What one <img> shows. Its newest wish is decoded; those that came and went meanwhile are not.
class Shown {
  constructor(image, decodeToPNG) {
    this.image = image;
    this.decodeToPNG = decodeToPNG;
    this.source = null; // of `file`, as an absolute address
    this.file = null; // a promise of its bytes
    this.busy = false;
    this.url = null;
  }

  async update() {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    do {
      this.again = false;
      await this.show().catch((error) => this.fail(error));
    } while (this.again);
    this.busy = false;
  }

  async show() {
    const { image } = this, source = image.getAttribute("data-rdpc"), realism = image.getAttribute("realism");
    if (!source) return;
    const address = new URL(source, image.baseURI).href;
    if (address !== this.source) {
      this.source = address;
      this.file = fetchFile(address);
    }
    const png = await this.decodeToPNG(await this.file, { realism: realism === null ? undefined : Number(realism) });
    const before = this.url;
    this.url = URL.createObjectURL(png);
    image.src = this.url;
    await image.decode().catch(() => {}); // another source was set
    if (before) URL.revokeObjectURL(before);
  }

  // As for any image that cannot be shown: its alt text, and an event.
  fail(error) {
    this.source = null;
    console.error(`rdpcodec: ${this.image.getAttribute("data-rdpc")}: ${error.message}`);
    this.image.removeAttribute("src");
    this.image.dispatchEvent(new ErrorEvent("error", { error, message: error.message }));
  }
}

async function fetchFile(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`cannot be loaded: status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

const shown = new WeakMap();

// Show, or show anew, what an <img> says; one with loading="lazy" when it comes near the window.
function update(image, decodeToPNG) {
  if (!shown.has(image)) {
    shown.set(image, new Shown(image, decodeToPNG));
    if (image.loading === "lazy") {
      waiting.add(image);
      near.observe(image);
    }
  }
  if (!waiting.has(image)) shown.get(image).update();
}

const waiting = new WeakSet(); // for the window to come near
const near = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      waiting.delete(target);
      shown.get(target).update();
    }
  },
  { rootMargin: "50%" },
);

// Show every <img data-rdpc> of a document or shadow root, those that come later too.
export function watchImages(root, decodeToPNG) {
  const updateAll = (node) => {
    if (node.matches?.("img[data-rdpc]")) update(node, decodeToPNG);
    node.querySelectorAll?.("img[data-rdpc]").forEach((image) => update(image, decodeToPNG));
  };
  const observer = new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) {
      if (type === "childList") addedNodes.forEach(updateAll);
      else if (target.matches("img[data-rdpc]")) update(target, decodeToPNG);
    }
  });
  observer.observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: ATTRIBUTES });
  updateAll(root);
}

// <rdpc-image src realism alt>: an <img> of its own, part "image", in a shadow root.
export function defineElement(decodeToPNG) {
  class RdpcImage extends HTMLElement {
    static observedAttributes = ["src", "realism", "alt"];

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open" }), style = document.createElement("style");
      style.textContent = ":host { display: inline-block } img { display: block; width: 100%; height: 100% }";
      this.image = document.createElement("img");
      this.image.setAttribute("part", "image");
      this.image.addEventListener("load", () => this.dispatchEvent(new Event("load")));
      this.image.addEventListener("error", ({ error, message }) => {
        this.dispatchEvent(new ErrorEvent("error", { error, message }));
      });
      root.append(style, this.image);
    }

    attributeChangedCallback(name, before, value) {
      const inside = name === "src" ? "data-rdpc" : name;
      if (value === null) this.image.removeAttribute(inside);
      else this.image.setAttribute(inside, value);
      if (this.hasAttribute("src") && name !== "alt") update(this.image, decodeToPNG);
    }
  }
  customElements.define("rdpc-image", RdpcImage);
}
