// Draw the map of clusters on a canvas: move, zoom, point, click. The list beside it says the same.
"use strict";
(() => {
  let at = null; // what is drawn: points, view, the disc pointed at
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const shade = (points, i) => {
    const s = points.shade[i];
    return s < 0 ? css("--line") : points.colours[Math.min(Math.floor(s / 10), 9)];
  };
  const read = () => {
    const query = new URLSearchParams(location.search);
    const number = (name, other) => {
      const found = Number(query.get(name) ?? other);
      return Number.isFinite(found) ? found : other;
    };
    return { x: number("x", 0.5), y: number("y", 0.5), z: Math.min(Math.max(number("z", 1), 0.5), 60) };
  };
  const keep = () => {
    const query = new URLSearchParams(location.search);
    for (const name of ["x", "y", "z"]) query.set(name, at.view[name].toFixed(3));
    history.replaceState(history.state, "", `${location.pathname}?${query}`);
  };

  const radius = (i) => {
    const most = 26 * Math.min(1, Math.max(at.box.width / 900, 0.5)); // smaller where there is less room
    return Math.min(Math.max(most * Math.sqrt(at.points.size[i] / at.most), 2.2), most) * Math.sqrt(at.view.z);
  };
  const place = (i) => {
    const { width, height } = at.box;
    const side = [width - 70, height - 70];
    return [
      width / 2 + (at.points.x[i] / 10000 - at.view.x) * side[0] * at.view.z,
      height / 2 + (at.points.y[i] / 10000 - at.view.y) * side[1] * at.view.z,
    ];
  };
  const short = (text, most) => text.length > most ? `${text.slice(0, most)}…` : text;

  const words = (pen, text, x, y, size) => {
    pen.font = `${size}px system-ui, sans-serif`;
    pen.lineWidth = 4;
    pen.strokeStyle = css("--bg");
    pen.fillStyle = css("--fg");
    pen.strokeText(text, x, y);
    pen.fillText(text, x, y);
  };
  const labels = (pen) => {
    const discs = at.order.map((i) => [i, ...place(i), radius(i)])
      .filter(([, x, y, r]) => r > 2.5 && x > -r && y > -r && x < at.box.width + r && y < at.box.height + r)
      .slice(0, 500);
    const taken = [];
    const free = (mine, i) => !taken.some((o) => mine[0] < o[2] && mine[2] > o[0] && mine[1] < o[3] && mine[3] > o[1])
      && !discs.some(([j, x, y, r]) => j !== i && mine[0] < x + r && mine[2] > x - r && mine[1] < y + r && mine[3] > y - r);
    for (const [i, x, y] of discs) {
      if (taken.length >= at.box.width / 40) break;
      if (!at.points.told[i] || x < 0 || y < 0 || x > at.box.width || y > at.box.height) continue;
      pen.font = "12px system-ui, sans-serif";
      const text = short(at.points.label[i], 28);
      const wide = pen.measureText(text).width;
      const r = radius(i);
      for (const [left, down] of [[x + r + 3, y], [x - r - 3 - wide, y], [x - wide / 2, y - r - 9], [x - wide / 2, y + r + 10]]) {
        const mine = [left, down - 7, left + wide, down + 7];
        if (left < 2 || mine[2] > at.box.width - 2 || !free(mine, i)) continue;
        taken.push(mine);
        words(pen, text, left, down + 4, 12);
        break;
      }
    }
  };
  const draw = () => {
    const { canvas, points } = at;
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = Math.round(Math.min(Math.max(width * 0.62, 360), 620));
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    at.box = { width, height };
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.fillStyle = css("--bg");
    pen.fillRect(0, 0, width, height);
    pen.strokeStyle = css("--fg");
    pen.lineWidth = 0.7;
    for (const i of at.order) {
      const [x, y] = place(i);
      const r = radius(i);
      if (x < -r || y < -r || x > width + r || y > height + r) continue;
      pen.beginPath();
      pen.arc(x, y, r, 0, 2 * Math.PI);
      pen.fillStyle = shade(points, i);
      pen.globalAlpha = 0.8;
      pen.fill();
      pen.globalAlpha = 1;
      if (r > 2.5) pen.stroke();
    }
    if (at.pointed < 0) labels(pen);
    else point(pen, at.pointed);
  };
  const point = (pen, i) => {
    const [x, y] = place(i);
    pen.strokeStyle = css("--link");
    pen.lineWidth = 1.5;
    for (const j of at.points.near[i]) {
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(...place(j));
      pen.stroke();
    }
    pen.lineWidth = 3;
    pen.beginPath();
    pen.arc(x, y, radius(i) + 3, 0, 2 * Math.PI);
    pen.stroke();
    pen.font = "14px system-ui, sans-serif";
    const wide = pen.measureText(at.points.label[i]).width;
    const left = Math.max(4, Math.min(x - wide / 2, at.box.width - wide - 4));
    words(pen, at.points.label[i], left, y > 40 ? y - radius(i) - 10 : y + radius(i) + 20, 14);
  };
  const said = (i) => {
    const p = at.points;
    document.getElementById("map-said").textContent =
      `${p.label[i]}: ${p.id[i]}, ${p.size[i]} predictions, ${p.what}: ${p.value[i]}`;
  };
  const choose = (i) => {
    if (i === at.pointed) return;
    at.pointed = i;
    if (i >= 0) said(i);
    at.canvas.classList.toggle("pointed", i >= 0);
    draw();
  };
  const nearest = (event) => {
    const box = at.canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let best = -1, least = Infinity;
    for (let i = 0; i < at.points.id.length; i++) {
      const [x, y] = place(i);
      const off = Math.hypot(x - px, y - py) - radius(i);
      if (off < least) [best, least] = [i, off];
    }
    return least < 6 ? best : -1;
  };
  const zoom = (by, px = at.box.width / 2, py = at.box.height / 2) => {
    if (!by) at.view = { x: 0.5, y: 0.5, z: 1 };
    else {
      const z = Math.min(Math.max(at.view.z * by, 0.5), 60);
      const side = [at.box.width - 70, at.box.height - 70];
      at.view.x += (px - at.box.width / 2) / side[0] * (1 / at.view.z - 1 / z);
      at.view.y += (py - at.box.height / 2) / side[1] * (1 / at.view.z - 1 / z);
      at.view.z = z;
    }
    draw();
    keep();
  };

  let begun = null; // the canvas whose points are read
  const readPoints = async (canvas) => {
    const here = document.getElementById("map-points");
    if (here) return JSON.parse(here.textContent);
    const answer = await fetch(canvas.dataset.from);
    if (!answer.ok) throw new Error(`points: ${answer.status}`);
    return answer.json();
  };
  const start = async () => {
    const canvas = document.getElementById("map");
    if (canvas === begun) return;
    begun = canvas;
    at = null;
    if (!canvas) return;
    let points;
    try {
      points = await readPoints(canvas);
    } catch { // a file without a server: the list says it all
      canvas.hidden = true;
      return;
    }
    if (begun !== canvas) return;
    const order = points.id.map((_, i) => i).sort((a, b) => points.size[b] - points.size[a]);
    at = { canvas, points, order, most: 1, view: read(), pointed: -1 };
    at.most = points.size.reduce((a, b) => Math.max(a, b), 1);
    draw();
    let from = null, moved = 0;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = [event.clientX, event.clientY];
      moved = 0;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) { choose(nearest(event)); return; }
      const by = [event.clientX - from[0], event.clientY - from[1]];
      moved += Math.abs(by[0]) + Math.abs(by[1]);
      at.view.x -= by[0] / ((at.box.width - 70) * at.view.z);
      at.view.y -= by[1] / ((at.box.height - 70) * at.view.z);
      from = [event.clientX, event.clientY];
      draw();
    });
    canvas.addEventListener("pointerup", (event) => {
      from = null;
      if (moved > 4) { keep(); return; }
      const i = nearest(event);
      if (i >= 0) location.href = canvas.dataset.to + encodeURIComponent(at.points.id[i]) + (canvas.dataset.end || "");
    });
    canvas.addEventListener("pointercancel", () => { from = null; });
    canvas.addEventListener("pointerleave", () => { if (!from) choose(-1); });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // plain wheels turn the page
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
  };
  document.addEventListener("click", (event) => {
    const button = at && event.target.closest("[data-zoom]");
    if (button) zoom(Number(button.dataset.zoom));
    if (at && event.target.closest("#theme")) requestAnimationFrame(draw);
  });
  for (const kind of ["focusin", "pointerover"]) {
    document.addEventListener(kind, (event) => {
      const row = at && event.target.closest && event.target.closest("tr");
      const link = row && row.querySelector("[data-disc]");
      if (link) choose(at.points.id.indexOf(link.dataset.disc));
    });
  }
  addEventListener("resize", () => { if (at) draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (at) draw(); });
  document.addEventListener("DOMContentLoaded", start);
  document.addEventListener("htmx:afterSettle", start);
  document.addEventListener("htmx:historyRestore", () => { begun = null; start(); });
})();
