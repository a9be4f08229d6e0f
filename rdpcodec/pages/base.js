"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "text", "rect", "clipPath", "defs"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}
const digits = (value, n = 3) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(n)))).replace("-", "−");
const fixed = (value, n) => (value === null || value === undefined ? "–" : value.toFixed(n)).replace("-", "−");
const signed = (value, n = 1) => (value > 0 ? "+" : "") + fixed(value, n);
