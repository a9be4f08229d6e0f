// <img data-rdpc> and <rdpc-image>: elements that show a file, and follow their attributes.

import { decodeToPNG } from "./requests.js";

const ATTRIBUTES = ["data-rdpc", "realism"];

// What one <img> shows. Its newest wish is decoded; wishes that came and went in the meantime are not.
class Shown {
  constructor(image) {
    this.image = image;
    this.source = null; // the attribute that `file` is loaded from
    this.file = null; // a promise of its bytes
    this.loading = null; // what aborts the loading
    this.busy = false;
    this.again = false; // whether the attributes have changed while busy
    this.tried = null; // the wish that was read last
    this.done = null; // the wish that is shown
    this.held = { url: null };
    gone.register(image, this.held);
  }

  // What the attributes say.
  wish() {
    return ATTRIBUTES.map((name) => this.image.getAttribute(name)).join(" ");
  }

  async update() {
    if (this.busy) {
      this.again = true;
      if (this.image.getAttribute("data-rdpc") !== this.source) this.loading?.abort();
      return;
    }
    this.busy = true;
    do {
      this.again = false;
      await this.show().catch((error) => (error.name === "AbortError" && this.again ? null : this.fail(error)));
    } while (this.again);
    this.busy = false;
  }

  async show() {
    const { image, held } = this, source = image.getAttribute("data-rdpc");
    this.tried = this.wish();
    if (!source) return;
    const address = new URL(source, image.baseURI).href;
    if (source !== this.source) {
      this.source = source;
      this.loading = new AbortController();
      this.file = fetchFile(address, this.loading.signal);
    }
    const bytes = await this.file, realism = image.getAttribute("realism");
    this.again = image.getAttribute("data-rdpc") !== source; // a new realism has been read by now
    if (this.again) return;
    const wish = this.tried = this.wish();
    if (wish === this.done && image.src === held.url) return; // an attribute was set to its old value
    const png = await decodeToPNG(bytes, { realism: realism === null ? undefined : Number(realism) });
    const before = held.url;
    this.done = wish;
    image.src = held.url = URL.createObjectURL(png);
    await image.decode().catch(() => {}); // it fails when another source was set
    if (before) URL.revokeObjectURL(before);
  }

  // As for any image that cannot be shown: its alt text, and an event.
  fail(error) {
    this.source = this.done = null;
    console.error(`rdpcodec: ${this.image.getAttribute("data-rdpc")}: ${error.message}`);
    this.image.removeAttribute("src");
    this.image.dispatchEvent(new ErrorEvent("error", { error, message: error.message }));
  }
}

// Once an image is gone, what it showed is released.
const gone = new FinalizationRegistry(({ url }) => URL.revokeObjectURL(url));

async function fetchFile(address, signal) {
  const response = await fetch(address, { signal });
  if (!response.ok) throw new Error(`cannot be loaded: status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

const shown = new WeakMap();

// Show, or show anew, the file that an <img> names; with loading="lazy", once it comes near the window.
function update(image) {
  if (!shown.has(image)) {
    shown.set(image, new Shown(image));
    if (image.loading === "lazy") {
      waiting.add(image);
      near.observe(image);
    }
  }
  if (!waiting.has(image)) shown.get(image).update();
}

const waiting = new WeakSet(); // images that the window has not come near yet
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

// Show every <img data-rdpc> of a document or shadow root, including those that come later.
export function watchImages(root) {
  // An image that was only moved is shown already, or has failed.
  const added = (image) => {
    const known = shown.get(image);
    if (!known || known.tried !== known.wish()) update(image);
  };
  const updateAll = (node) => {
    if (node.matches?.("img[data-rdpc]")) added(node);
    node.querySelectorAll?.("img[data-rdpc]").forEach(added);
  };
  const observer = new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) {
      if (type === "childList") addedNodes.forEach(updateAll);
      else if (target.matches("img[data-rdpc]")) update(target);
    }
  });
  observer.observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: ATTRIBUTES });
  updateAll(root);
}

// <rdpc-image src realism alt>: an <img> of its own, part "image", in a shadow root.
export function defineElement() {
  if (customElements.get("rdpc-image")) return; // this module was loaded twice, from two addresses
  const style = new CSSStyleSheet();
  style.replaceSync(":host { display: inline-block } img { display: block; width: 100%; height: 100% }");
  class RdpcImage extends HTMLElement {
    static observedAttributes = ["src", "realism", "alt"];

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open" });
      root.adoptedStyleSheets = [style]; // which no content security policy forbids
      this.image = document.createElement("img");
      this.image.setAttribute("part", "image");
      this.image.addEventListener("load", () => this.dispatchEvent(new Event("load")));
      this.image.addEventListener("error", ({ error, message }) => {
        this.dispatchEvent(new ErrorEvent("error", { error, message }));
      });
      root.append(this.image);
    }

    attributeChangedCallback(name, before, value) {
      const inside = name === "src" ? "data-rdpc" : name;
      if (value === null) this.image.removeAttribute(inside);
      else this.image.setAttribute(inside, value);
      if (this.hasAttribute("src") && name !== "alt") update(this.image);
    }
  }
  customElements.define("rdpc-image", RdpcImage);
}
