// The atlas of optimal structures: sliders choose a point, panels follow, the address keeps it. No library, no server.
(() => {
  "use strict";
  const root = document.getElementById("atlas");
  if (!root || typeof ATLAS === "undefined") return;
  const SVG = "http://www.w3.org/2000/svg";
  const AXES = [
    { name: "form", label: "form", values: ATLAS.forms, show: (v) => v },
    { name: "T", label: "time T, steps", values: ATLAS.steps, show: String },
    { name: "sigma", label: "process noise σ", values: ATLAS.noise_stds, show: String },
    { name: "budget", label: "synaptic budget", values: ATLAS.budgets, show: String },
  ];
  const state = { form: 1, T: 2, sigma: 1, budget: 1 };
  const points = new Map(ATLAS.points.map((p) => [[p.form, p.steps, p.noise_std, p.budget].join("|"), p]));

  function chosen() {
    return points.get(AXES.map((axis) => axis.values[state[axis.name]]).join("|"));
  }

  function readAddress() {
    for (const part of location.hash.slice(1).split("&")) {
      const [name, value] = part.split("=");
      const axis = AXES.find((one) => one.name === name);
      const place = axis ? axis.values.findIndex((one) => String(one) === decodeURIComponent(value)) : -1;
      if (place >= 0) state[name] = place;
    }
  }

  function writeAddress() {
    const words = AXES.map((axis) => `${axis.name}=${encodeURIComponent(axis.values[state[axis.name]])}`);
    history.replaceState(null, "", `#${words.join("&")}`);
  }

  function element(name, attributes, parent, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.appendChild(made);
    return made;
  }

  function canvas(id, title) {
    const holder = document.getElementById(id);
    holder.replaceChildren();
    const svg = element("svg", { viewBox: "0 0 330 290", role: "img", "aria-label": title }, holder);
    element("text", { x: 165, y: 16, class: "title", "text-anchor": "middle" }, svg, title);
    return svg;
  }

  function color(value, largest) {
    const share = Math.min(1, value / largest);
    return `color-mix(in srgb, #0072b2 ${Math.round(100 * share)}%, var(--pst-color-background, white))`;
  }

  function drawMatrix(point) {
    const svg = canvas("atlas-matrix", "gains g, to ← from");
    const count = ATLAS.populations;
    const size = 44;
    const largest = Math.max(...point.gains);
    for (let to = 0; to < count; to++) {
      for (let from = 0; from < count; from++) {
        const gain = point.gains[to - from + count - 1];
        const [x, y] = [56 + size * from, 34 + size * to];
        element("rect", { x, y, width: size - 1, height: size - 1, fill: color(gain, largest) }, svg);
        const ink = gain > 0.55 * largest ? "white" : "var(--pst-color-text-base, black)";
        element("text", { x: x + size / 2, y: y + size / 2 + 4, "text-anchor": "middle", style: `fill:${ink}` }, svg, gain.toFixed(2));
      }
      element("text", { x: 46, y: 34 + size * (to + 0.5) + 4, "text-anchor": "end" }, svg, String(to));
      element("text", { x: 56 + size * (to + 0.5), y: 34 + size * count + 14, "text-anchor": "middle" }, svg, String(to));
    }
    element("text", { x: 56 + (size * count) / 2, y: 34 + size * count + 32, "text-anchor": "middle" }, svg, "from population (0 hears the stimulus)");
    element("text", { x: 16, y: 34 + (size * count) / 2, "text-anchor": "middle", transform: `rotate(-90 16 ${34 + (size * count) / 2})` }, svg, "to population");
  }

  function drawSpectrum(point) {
    const svg = canvas("atlas-spectrum", `eigenvalues of one network, ${ATLAS.units} units`);
    const reach = 1.15 * Math.max(point.radius, 1, ...point.eigenvalues.map(([re, im]) => Math.hypot(re, im)));
    const [middleX, middleY, scale] = [170, 145, 115 / reach];
    element("line", { x1: middleX - 118, x2: middleX + 118, y1: middleY, y2: middleY, class: "axis" }, svg);
    element("line", { x1: middleX, x2: middleX, y1: middleY - 118, y2: middleY + 118, class: "axis" }, svg);
    element("circle", { cx: middleX, cy: middleY, r: scale, class: "unit" }, svg);
    element("circle", { cx: middleX, cy: middleY, r: scale * point.radius, class: "edge" }, svg);
    for (const [re, im] of point.eigenvalues) {
      element("circle", { cx: middleX + scale * re, cy: middleY - scale * im, r: 1.6, class: "dot" }, svg);
    }
    element("text", { x: middleX, y: 276, "text-anchor": "middle" }, svg, `real part; predicted edge ${point.radius.toFixed(2)}, dashed: 1`);
    element("text", { x: 24, y: middleY, "text-anchor": "middle", transform: `rotate(-90 24 ${middleY})` }, svg, "imaginary part");
  }

  function drawCurve(point) {
    const svg = canvas("atlas-curve", "Fisher information per unit");
    const [left, right, top, bottom] = [58, 320, 30, 236];
    const lines = [
      { values: point.linear, class: "linear", name: "linear form" },
      { values: point.independent, class: "independent", name: "independent form" },
      { values: point.homogeneous_linear, class: "linear plain", name: "homogeneous, linear" },
      { values: point.homogeneous_independent, class: "independent plain", name: "homogeneous, independent" },
    ];
    const count = point.linear.length;
    const all = lines.flatMap((line) => line.values).filter((value) => value > 0);
    const low = Math.floor(Math.log10(Math.max(Math.min(...all), Math.max(...all) * 1e-6)));
    const high = Math.ceil(Math.log10(Math.max(...all)));
    const x = (t) => left + ((right - left) * (t - 1)) / (count - 1);
    const y = (value) => bottom - ((bottom - top) * (Math.max(Math.log10(value), low) - low)) / Math.max(1, high - low);
    for (let power = low; power <= high; power++) {
      element("line", { x1: left, x2: right, y1: y(10 ** power), y2: y(10 ** power), class: "grid" }, svg);
      const label = element("text", { x: left - 6, y: y(10 ** power) + 4, "text-anchor": "end" }, svg, "10");
      element("tspan", { dy: -5, "font-size": "8" }, label, String(power));
    }
    for (const t of [1, 5, 10, 15, 20]) {
      element("text", { x: x(t), y: bottom + 14, "text-anchor": "middle" }, svg, String(t));
    }
    const now = x(point.steps);
    element("line", { x1: now, x2: now, y1: top, y2: bottom, class: "now" }, svg);
    element("text", { x: now + 3, y: bottom - 4 }, svg, "T");
    for (const line of lines) {
      const path = line.values.map((value, index) => (value > 0 ? `${x(index + 1)},${y(value)}` : null)).filter(Boolean);
      element("polyline", { points: path.join(" "), class: `curve ${line.class}` }, svg);
    }
    lines.forEach((line, index) => {
      const [keyX, keyY] = [left - 56 + 146 * (index % 2), 266 + 16 * Math.floor(index / 2)];
      element("line", { x1: keyX, x2: keyX + 18, y1: keyY - 4, y2: keyY - 4, class: `curve ${line.class}` }, svg);
      element("text", { x: keyX + 22, y: keyY }, svg, line.name);
    });
    element("text", { x: (left + right) / 2, y: bottom + 14, "text-anchor": "middle", dx: -40 }, svg, "");
  }

  function drawFacts(point) {
    const rows = [
      ["F(T) over the homogeneous network, noise correlations counted", `${point.ratio_linear.toFixed(2)} ×`],
      ["F(T) over the homogeneous network, units independent", `${point.ratio_independent.toFixed(2)} ×`],
      ["spends its budget on", point.regime],
      ["radius of the weights' spectrum", point.radius.toFixed(2)],
      ["overlap of the stimulus with the slowest mode", point.alignment.toFixed(2)],
    ];
    const body = document.getElementById("atlas-facts");
    body.replaceChildren();
    for (const row of rows) {
      const line = body.insertRow();
      for (const cell of row) line.insertCell().textContent = cell;
    }
    document.getElementById("atlas-python").textContent = python(point);
  }

  function python(point) {
    return `network = connectivity.toeplitz([${point.gains.map((gain) => Number(gain.toFixed(4))).join(", ")}])`;
  }

  function draw() {
    const point = chosen();
    for (const axis of AXES) {
      document.getElementById(`atlas-${axis.name}`).value = state[axis.name];
      document.getElementById(`atlas-${axis.name}-value`).textContent = axis.show(axis.values[state[axis.name]]);
    }
    drawMatrix(point);
    drawSpectrum(point);
    drawCurve(point);
    drawFacts(point);
    writeAddress();
  }

  function controls() {
    const holder = document.getElementById("atlas-controls");
    for (const axis of AXES) {
      const label = document.createElement("label");
      const value = document.createElement("output");
      value.id = `atlas-${axis.name}-value`;
      const slider = document.createElement("input");
      Object.assign(slider, { type: "range", min: 0, max: axis.values.length - 1, step: 1, id: `atlas-${axis.name}` });
      slider.addEventListener("input", () => {
        state[axis.name] = Number(slider.value);
        draw();
      });
      label.append(`${axis.label}: `, value, slider);
      holder.appendChild(label);
    }
  }

  document.getElementById("atlas-copy").addEventListener("click", (event) => {
    const line = python(chosen());
    const told = (words) => {
      event.target.textContent = words;
      setTimeout(() => (event.target.textContent = "Copy as Python"), 1500);
    };
    const byHand = () => {
      const area = document.createElement("textarea");
      area.value = line;
      document.body.appendChild(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      told(done ? "Copied" : "Press Ctrl-C on the line below");
    };
    // a page that was opened from a file may have no clipboard of its own
    if (navigator.clipboard) navigator.clipboard.writeText(line).then(() => told("Copied"), byHand);
    else byHand();
  });
  window.addEventListener("hashchange", () => {
    readAddress();
    draw();
  });
  controls();
  readAddress();
  draw();
})();
