// A mask to paint, the weights under it, and the ways through a stack of layers. Plain ES module, no dependency.
// State that Python shares (model): labels, scores, cells, layers, most_layers, presets, preset_cells, colors, words. See masks.py.

const COLUMN = 54; // px between two tokens of the stack
const LEVEL = 46; // px between two layers
const SVG = "http://www.w3.org/2000/svg";

const element = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

const bytes = (view) => new Uint8Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));

// A function from 0 … 1 to [r, g, b], through "#rrggbb" stops.
const colorScale = (stops) => {
  const channels = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  return (x) => {
    const at = Math.min(Math.max(x, 0), 1) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    return channels[low].map((from, c) => Math.round(from + (at - low) * (channels[low + 1][c] - from)));
  };
};

function render({ model, el }) {
  const say = speaker(model);
  const labels = model.get("labels");
  const n = labels.length;
  const range = [...labels.keys()];
  const scores = new Float32Array(bytes(model.get("scores")).buffer); // (query, key)
  const presets = bytes(model.get("preset_cells"));
  const scale = colorScale(model.get("colors"));
  let cells = bytes(model.get("cells"));
  const mayAttend = (i, j) => cells[i * n + j] !== 0;

  // ---- what a mask means ----------------------------------------------------------------------------------------
  // The weights of query i: a softmax over the keys it may attend to; zeros if there are none.
  const weightsOf = (i) => {
    const seen = range.filter((j) => mayAttend(i, j));
    const top = Math.max(...seen.map((j) => scores[i * n + j]));
    const exps = range.map((j) => (mayAttend(i, j) ? Math.exp(scores[i * n + j] - top) : 0));
    const sum = exps.reduce((a, b) => a + b, 0);
    return exps.map((e) => (sum ? e / sum : 0));
  };
  // Level by level from the output down: the positions from which information can have reached output i.
  const reachedFrom = (i, layers) => {
    const levels = [new Set([i])];
    for (let layer = 0; layer < layers; layer++)
      levels.unshift(new Set(range.filter((j) => [...levels[0]].some((k) => mayAttend(k, j)))));
    return levels;
  };

  // ---- the table: a button for each cell ------------------------------------------------------------------------
  let pointed = null, focused = null, row = n - 1; // the query that is followed
  const buttons = range.map((i) => range.map((j) => {
    const button = element("button", { type: "button", className: "cell", tabIndex: i + j ? -1 : 0 });
    Object.assign(button.dataset, { i, j });
    button.addEventListener("keydown", (event) => walk(event, i, j));
    button.addEventListener("focus", () => { focused = button.matches(":focus-visible") ? i : null; draw(); });
    button.addEventListener("blur", () => { focused = null; draw(); });
    button.addEventListener("click", (event) => { if (event.detail === 0) paint(i, j, !mayAttend(i, j)); }); // keyboard
    return button;
  }));
  const sums = range.map(() => element("span", { className: "sum" }));
  const grid = element("div", { className: "grid", role: "group", ariaLabel: say("table") },
    element("span", { className: "corner", textContent: say("corner") }),
    ...labels.map((label) => element("span", { className: "column", textContent: label, title: label })),
    element("span", { className: "column soft", textContent: say("sum") }),
    ...range.flatMap((i) => [
      element("span", { className: "row", textContent: labels[i], title: labels[i] }), ...buttons[i], sums[i]]));
  grid.style.setProperty("--n", n);

  const paint = (i, j, value) => {
    row = i;
    if (mayAttend(i, j) !== value) {
      cells = cells.slice();
      cells[i * n + j] = value ? 1 : 0;
      save();
    }
    draw();
  };
  const save = () => {
    model.set("cells", new DataView(cells.slice().buffer));
    model.save_changes();
  };

  // The mouse or a finger: the first cell decides whether the stroke switches on or off.
  let stroke = null;
  const cellAt = ({ clientX, clientY }) =>
    el.getRootNode().elementFromPoint(clientX, clientY)?.closest?.(".cell")?.dataset;
  grid.addEventListener("pointerdown", (event) => {
    const at = event.button === 0 && cellAt(event);
    if (!at) return;
    stroke = !mayAttend(+at.i, +at.j);
    grid.setPointerCapture(event.pointerId);
    paint(+at.i, +at.j, stroke);
  });
  grid.addEventListener("pointermove", (event) => {
    const at = cellAt(event);
    const i = at ? +at.i : null;
    if (at && stroke !== null) paint(i, +at.j, stroke);
    if (i !== pointed) { pointed = i; draw(); }
  });
  for (const end of ["pointerup", "pointercancel"]) grid.addEventListener(end, () => { stroke = null; });
  grid.addEventListener("pointerleave", () => { pointed = null; draw(); });

  // One stop for the Tab key; the arrow keys go on from there, Space and Enter press the button.
  const walk = (event, i, j) => {
    const [to_i, to_j] = {
      ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1],
      Home: [i, 0], End: [i, n - 1],
    }[event.key] ?? [];
    if (to_i === undefined) return;
    event.preventDefault();
    const target = buttons[to_i]?.[to_j];
    if (!target) return;
    for (const button of buttons.flat()) button.tabIndex = button === target ? 0 : -1;
    row = to_i;
    target.focus();
  };

  // Black or white, whichever stands out more (contrast as WCAG 2.2 defines it), as `ink_on` of the pictures.
  const inkOn = (...channels) => {
    const [r, g, b] = channels.map((c) => (c <= 10.31 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    return (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) ? "black" : "white";
  };

  const drawTable = (active) => range.forEach((i) => {
    const weights = weightsOf(i);
    range.forEach((j) => {
      const button = buttons[i][j], on = mayAttend(i, j), [r, g, b] = scale(weights[j]);
      button.ariaPressed = on;
      const place = { query: labels[i], key: labels[j] };
      button.ariaLabel = on ? say("weight", { ...place, weight: weights[j].toFixed(2) }) : say("hidden", place);
      button.textContent = on ? weights[j].toFixed(2) : "";
      button.style.background = on ? `rgb(${r}, ${g}, ${b})` : "";
      button.style.color = on ? inkOn(r, g, b) : "";
      button.classList.toggle("followed", i === active);
    });
    const nothing = !weights.some((w) => w > 0);
    sums[i].textContent = nothing ? "0" : "1.00";
    sums[i].classList.toggle("empty", nothing);
  });

  // ---- the stack: inputs below, outputs above -------------------------------------------------------------------
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", say("ways"));

  const drawStack = (active, levels) => {
    const layers = levels.length - 1;
    const x = (j) => COLUMN * (j + 0.5), y = (level) => 30 + LEVEL * (layers - level);
    const height = y(0) + 30, width = COLUMN * n + 66;
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` }))
      svg.setAttribute(name, value);
    const ways = { dim: "", lit: "" };
    for (let level = 0; level < layers; level++)
      for (const i of range)
        for (const j of range)
          if (mayAttend(i, j))
            ways[levels[level + 1].has(i) ? "lit" : "dim"] += `M${x(j)} ${y(level)}L${x(i)} ${y(level + 1)}`;
    const dots = levels.flatMap((from, level) => range.map((j) =>
      `<circle cx="${x(j)}" cy="${y(level)}" r="6" class="${from.has(j) ? "lit" : "dim"}"/>`));
    const names = levels.map((_, level) => {
      const name = level === 0 ? say("input") : level === layers ? say("output") : say("layer", { number: level });
      return `<text x="${COLUMN * n + 4}" y="${y(level) + 4}" class="level">${name}</text>`;
    });
    svg.innerHTML = `<path class="dim" d="${ways.dim}"/><path class="lit" d="${ways.lit}"/>${dots.join("")}${names.join("")}`;
    for (const [text, at, place] of [[labels[active], active, 16], ...range.map((j) => [labels[j], j, y(0) + 24])]) {
      const label = document.createElementNS(SVG, "text");
      label.textContent = text.length > 7 ? `${text.slice(0, 6)}…` : text; // as text: a token may hold any sign
      label.setAttribute("x", x(at));
      label.setAttribute("y", place);
      svg.append(label);
    }
  };

  // ---- controls and words ---------------------------------------------------------------------------------------
  const status = element("div", { className: "status", ariaLive: "polite" });
  const slider = element("input", { type: "range", min: 1, max: model.get("most_layers"), step: 1 });
  const count = element("output", {});
  slider.addEventListener("input", () => {
    model.set("layers", +slider.value);
    model.save_changes();
  });
  const controls = element("div", { className: "controls" },
    ...model.get("presets").map((name, p) => {
      const button = element("button", { type: "button", className: "preset", textContent: name });
      button.addEventListener("click", () => { cells = presets.slice(p * n * n, (p + 1) * n * n); save(); draw(); });
      return button;
    }),
    element("label", {}, `${say("layers")} `, slider, count));

  const words = (active, inputs) => {
    const known = inputs.map((j) => labels[j]);
    const token = labels[active];
    if (!known.length) return say("nothing", { token });
    return say("known", { token, count: known.length, all: n, inputs: known.join(say("and")) });
  };

  // ---- all of it ------------------------------------------------------------------------------------------------
  const draw = () => {
    const active = pointed ?? focused ?? row;
    const levels = reachedFrom(active, model.get("layers"));
    slider.value = model.get("layers");
    count.textContent = model.get("layers");
    drawTable(active);
    drawStack(active, levels);
    const text = words(active, [...levels[0]].sort((a, b) => a - b));
    if (status.textContent !== text) status.textContent = text;
  };
  const read = () => { cells = bytes(model.get("cells")); draw(); };

  el.classList.add("largemodels-masks");
  el.append(controls, element("div", { className: "pictures" }, grid, element("div", {}, svg, status)));
  draw();

  const listeners = { "change:cells": read, "change:layers": draw };
  for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
  return () => { for (const [event, listener] of Object.entries(listeners)) model.off(event, listener); };
}

export default { render };
