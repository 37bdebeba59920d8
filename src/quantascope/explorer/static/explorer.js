// Keys, theme, links. The pages work without it.
"use strict";
(() => {
  const root = document.documentElement;
  const kept = (name, value) => {
    try {
      if (value === undefined) return localStorage.getItem(name);
      localStorage.setItem(name, value);
    } catch { /* no storage: the choice lasts as long as the page */ }
    return null;
  };
  const theme = kept("theme");
  if (theme) root.dataset.theme = theme;

  const say = (text) => { document.getElementById("said").textContent = text; };
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  const copyLink = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      say("Link copied.");
    } catch {
      say(location.href);
    }
  };

  const setForms = () => {
    const first = /^\/[rt]\/[^/]+$/.test(location.pathname) ? "/overview" : "";
    for (const link of document.querySelectorAll("a[data-form]")) {
      const path = location.pathname + first;
      link.href = `${path}.${link.dataset.form}${location.search}`;
    }
    const switchKeys = document.getElementById("keys-on");
    if (switchKeys) switchKeys.checked = kept("keys") !== "off";
  };

  const step = (by) => {
    const rows = [...document.querySelectorAll(".contexts > li, table.rows tbody tr")];
    const at = rows.indexOf(document.activeElement.closest("li, tr"));
    const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
    if (!next) return;
    next.tabIndex = -1;
    next.focus();
  };
  const click = (selector) => { const found = document.querySelector(selector); if (found) found.click(); };

  const actions = {
    ArrowLeft: () => click("#previous"),
    ArrowRight: () => click("#following"),
    j: () => step(1),
    k: () => step(-1),
    Enter: () => { const link = document.activeElement.querySelector("a"); if (link) link.click(); },
    "/": () => { const box = document.getElementById("search"); if (box) box.focus(); },
    c: copyLink,
    "?": () => document.getElementById("help").showModal(),
  };
  let going = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, dialog")) return;
    if (kept("keys") === "off" && event.key.length === 1) return;
    if (going) {
      going = false;
      click(`nav a[data-key="${CSS.escape(event.key)}"]`);
      event.preventDefault();
    } else if (event.key === "g") {
      going = true;
    } else if (actions[event.key] && !(event.key === "Enter" && event.target.closest("a, button"))) {
      actions[event.key]();
      event.preventDefault();
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("#theme")) {
      root.dataset.theme = dark() ? "light" : "dark";
      kept("theme", root.dataset.theme);
    } else if (event.target.closest("#keys")) {
      document.getElementById("help").showModal();
    } else if (event.target.closest("#copy")) {
      copyLink();
    } else if (event.target.id === "keys-on") {
      kept("keys", event.target.checked ? "on" : "off");
    }
  });

  // The next cluster is asked for while this one is looked at, and only what is in `main` is put
  // in place. What is older than half a minute, or from before a change, is asked for anew.
  const fresh = 30000;
  let ahead = null;
  let timer = 0;
  let under = "";
  const ask = (href) => ({
    href, at: performance.now(),
    text: fetch(href).then((answer) => answer.ok ? answer.text() : null).catch(() => null),
  });
  const isFresh = (href) => ahead && ahead.href === href && performance.now() - ahead.at < fresh;
  const lookAhead = () => {
    clearTimeout(timer);
    const link = document.getElementById("following");
    if (!link || !location.protocol.startsWith("http")) return;
    const href = link.href;
    timer = setTimeout(() => { if (!isFresh(href)) ahead = ask(href); }, 120);
  };
  const go = async (href) => {
    if (under === href) return;
    under = href;
    clearTimeout(timer);
    const text = await (isFresh(href) ? ahead : ask(href)).text;
    ahead = null;
    const page = text && new DOMParser().parseFromString(text, "text/html");
    const main = page && page.getElementById("main");
    if (under !== href) return;
    under = "";
    if (!main) { location.assign(href); return; }
    history.pushState({ htmx: true }, "", href);
    document.title = page.title;
    document.getElementById("main").replaceWith(main);
    window.htmx.process(main);
    scrollTo(0, 0);
    document.dispatchEvent(new CustomEvent("htmx:afterSettle"));
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("#following, #previous");
    const other = event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey;
    if (!link || other || !window.htmx || !location.protocol.startsWith("http")) {
      under = "";
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    go(link.href);
  }, true);
  document.addEventListener("submit", () => { ahead = null; }, true);

  const settle = () => { setForms(); lookAhead(); };
  document.addEventListener("DOMContentLoaded", settle);
  document.addEventListener("htmx:afterSettle", settle);
})();
