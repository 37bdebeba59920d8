// One file: its pages lie in it compressed; the address behind # says which one is shown.
"use strict";
(() => {
  const main = document.getElementById("main");
  const index = JSON.parse(document.getElementById("index").textContent);
  const opened = new Map();

  // five characters for four bytes: base 85 with , . : in the place of < > &
  const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%:()*+-;,=.?@^_`{|}~";
  const decoded = (text) => {
    const value = new Uint8Array(128);
    for (let i = 0; i < 85; i++) value[DIGITS.charCodeAt(i)] = i;
    const bytes = new DataView(new ArrayBuffer(Math.ceil(text.length / 5) * 4));
    for (let i = 0, at = 0; i < text.length; i += 5, at += 4) {
      let four = 0;
      for (let k = i; k < i + 5; k++) four = four * 85 + (k < text.length ? value[text.charCodeAt(k)] : 84); // none: the last digit
      bytes.setUint32(at, four);
    }
    return new Uint8Array(bytes.buffer, 0, Math.floor(text.length * 0.8));
  };
  const unpack = async (number) => {
    const bytes = decoded(document.getElementById(`block-${number}`).textContent);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  };
  const block = (number) => {
    if (!opened.has(number)) opened.set(number, unpack(number));
    return opened.get(number);
  };
  const asked = () => {
    const values = new URLSearchParams(location.hash.slice(1));
    if (values.has("q")) return [`q=${values.get("q")}`, values.get("at")];
    if (values.has("p")) return [`p=${values.get("p")}`, values.get("at")];
    return [location.hash.length < 2 ? "p=index" : null, null];
  };
  const markMenu = (key) => {
    for (const link of document.querySelectorAll("nav a")) {
      if (link.hash === `#${key}` && !link.matches(".home, .run")) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  };
  const say = (text) => {
    const line = document.createElement("p");
    line.textContent = text;
    main.replaceChildren(line);
  };
  const show = async (focus) => {
    const [key, at] = asked();
    if (key === null) return; // a place on this page
    if (!Object.hasOwn(index, key)) { say(`This file has no page ${key.slice(0, 60)}.`); return; }
    const [number, place, title] = index[key];
    let fragment;
    try {
      fragment = (await block(number))[place];
    } catch {
      say("This browser cannot open the pages in this file (DecompressionStream is missing).");
      return;
    }
    if (asked()[0] !== key) return; // another page was asked for meanwhile
    main.innerHTML = fragment;
    document.title = title;
    markMenu(key);
    const target = at && document.getElementById(at);
    if (target) target.scrollIntoView();
    else if (focus) scrollTo(0, 0);
    if (focus) main.focus({ preventScroll: true });
    document.dispatchEvent(new CustomEvent("htmx:afterSettle")); // as when a server sent the page
    document.body.dataset.ready = key;
  };
  addEventListener("hashchange", () => show(true));
  show(false);
})();
