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
  document.addEventListener("DOMContentLoaded", setForms);
  document.addEventListener("htmx:afterSettle", setForms);
})();
