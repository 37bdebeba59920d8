// Choose a range of x in a chart with the mouse; its form holds the range and says it.
"use strict";
(() => {
  let held = null;
  const frame = (svg) => {
    const [left, right, lo, hi, log] = svg.dataset.brush.split(" ").map(Number);
    const value = (at) => {
      const share = (Math.min(Math.max(at, left), right) - left) / (right - left);
      return log ? lo * Math.pow(hi / lo, share) : lo + share * (hi - lo);
    };
    return { left, right, value };
  };
  const place = (svg, event) => {
    const box = svg.getBoundingClientRect();
    const { left, right } = frame(svg);
    const at = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    return Math.min(Math.max(at, left), right);
  };
  document.addEventListener("pointerdown", (event) => {
    const svg = event.target.closest && event.target.closest("svg[data-brush]");
    if (!svg || event.button !== 0 || event.pointerType === "touch" || event.target.closest("a")) return;
    let box = svg.querySelector("rect.span");
    if (!box) {
      box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      box.setAttribute("class", "span");
      box.setAttribute("y", 14);
      box.setAttribute("height", svg.viewBox.baseVal.height - 64);
      svg.append(box);
    }
    held = { svg, box, from: place(svg, event) };
    event.preventDefault();
  });
  document.addEventListener("pointermove", (event) => {
    if (!held) return;
    const to = place(held.svg, event);
    held.box.setAttribute("x", Math.min(held.from, to));
    held.box.setAttribute("width", Math.abs(to - held.from));
  });
  document.addEventListener("pointerup", (event) => {
    if (!held) return;
    const { svg, from } = held;
    const to = place(svg, event);
    held = null;
    const form = document.getElementById("brush");
    if (!form || Math.abs(to - from) < 4) return;
    const { value } = frame(svg);
    form.elements.from.value = value(Math.min(from, to)).toPrecision(4);
    form.elements.to.value = value(Math.max(from, to)).toPrecision(4);
    form.requestSubmit();
  });
})();
