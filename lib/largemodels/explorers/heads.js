// Attention heads: query tokens, lines, key tokens, and a small heat map for each head. Plain ES module, no dependency.
// State that Python shares (model): rows, columns, weights, captions, shown, colors, scale, words. See heads.py.

const ROW = 26; // px from one token to the next (heads.css: --row)
const GAP = 190; // px that the lines cross
const MAP = 84; // px, largest side of a heat map
const THINNEST = 0.01; // smaller weights are not drawn
const LEVELS = 32; // of thickness
const DASHES = ["none", "7 3", "2 2", "9 3 2 3", "5 2", "12 3", "3 4", "8 2 2 2 2 2"]; // heads, also without colours

const SVG = "http://www.w3.org/2000/svg";

const element = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

// A function from 0 … 1 to a CSS colour, through "#rrggbb" stops.
const colorScale = (stops) => {
  const channels = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  return (x) => {
    const at = Math.min(Math.max(x, 0), 1) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    const mixed = channels[low].map((from, c) => Math.round(from + (at - low) * (channels[low + 1][c] - from)));
    return `rgb(${mixed})`;
  };
};

function render({ model, el }) {
  const say = speaker(model);
  const labels = { query: model.get("rows"), key: model.get("columns") };
  const [numQueries, numKeys] = [labels.query.length, labels.key.length];
  const colors = model.get("colors");
  const headColor = (h) => colors[h % colors.length];
  const headDash = (h) => DASHES[h % DASHES.length];
  const scale = colorScale(model.get("scale"));

  let weights; // Float32Array, (heads, query, key)
  const weight = (h, i, j) => weights[(h * numQueries + i) * numKeys + j];
  const read = () => {
    const { buffer, byteOffset, byteLength } = model.get("weights");
    weights = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  };

  // The token looked at, { side, index }: under the pointer, else with the keyboard's focus, else clicked.
  let pointed = null, focused = null, pinned = null;
  const active = () => pointed ?? focused ?? pinned;
  const is = (token, side, index) => token?.side === side && token.index === index;

  // ---- tokens: buttons in two columns ---------------------------------------------------------------------------
  const tokens = { query: [], key: [] };

  const addToken = (side, label, index) => {
    const button = element("button", { type: "button", className: "token", title: label, tabIndex: index ? -1 : 0 },
      element("span", { className: "label", textContent: label }), element("span", { className: "number" }));
    const on = (event, change) => button.addEventListener(event, (detail) => { change(detail); draw(); });
    on("pointerenter", () => { pointed = { side, index }; });
    on("pointerleave", () => { pointed = null; });
    on("focus", () => { focused = button.matches(":focus-visible") ? { side, index } : null; }); // not after a click
    on("blur", () => { focused = null; });
    on("click", () => { pinned = is(pinned, side, index) ? null : { side, index }; });
    on("keydown", (event) => walk(event, side, index));
    tokens[side].push(button);
  };

  // One stop per column for the Tab key; the arrow keys go on from there.
  const walk = (event, side, index) => {
    const column = tokens[side];
    const target = {
      ArrowUp: column[Math.max(index - 1, 0)],
      ArrowDown: column[Math.min(index + 1, column.length - 1)],
      ArrowLeft: tokens.query[Math.min(index, numQueries - 1)],
      ArrowRight: tokens.key[Math.min(index, numKeys - 1)],
      Home: column[0],
      End: column[column.length - 1],
      Escape: column[index],
    }[event.key];
    if (!target) return;
    if (event.key === "Escape") pinned = null;
    event.preventDefault();
    for (const button of Object.values(tokens).find((list) => list.includes(target)))
      button.tabIndex = button === target ? 0 : -1;
    target.focus();
  };

  const tokenColumn = (side) => {
    labels[side].forEach((label, index) => addToken(side, label, index));
    const list = element("div", { role: "group", ariaLabel: say(side === "query" ? "queries" : "keys") }, ...tokens[side]);
    return element("div", { className: side }, element("div", { className: "heading", textContent: say(side) }), list);
  };

  // ---- lines ----------------------------------------------------------------------------------------------------
  const svg = document.createElementNS(SVG, "svg");
  const size = { width: GAP, height: ROW * Math.max(numQueries, numKeys), role: "img" };
  for (const [name, value] of Object.entries(size)) svg.setAttribute(name, value);
  svg.setAttribute("aria-label", say("lines"));

  const drawLines = (shown) => {
    const token = active();
    const step = Math.min(3, 14 / shown.length); // heads beside each other, not on top
    const thickness = token ? 8 : 4;
    svg.innerHTML = shown.map((h, n) => {
      const shift = ROW / 2 + (n - (shown.length - 1) / 2) * step;
      const paths = {}; // thickness in levels to the lines of that thickness: a few elements, not thousands
      for (let i = 0; i < numQueries; i++)
        for (let j = 0; j < numKeys; j++) {
          const w = weight(h, i, j);
          if (w < THINNEST || (token && token.index !== (token.side === "query" ? i : j))) continue;
          const level = Math.ceil(w * LEVELS);
          paths[level] = `${paths[level] ?? ""}M0 ${i * ROW + shift}L${GAP} ${j * ROW + shift}`;
        }
      const drawn = Object.entries(paths).map(([level, path]) => {
        const w = level / LEVELS;
        const opacity = token ? 0.4 + 0.6 * w : 0.2 + 0.7 * w;
        return `<path d="${path}" stroke-width="${thickness * w}" stroke-opacity="${opacity}"/>`;
      });
      return `<g class="head" style="--head: ${headColor(h)}" stroke-dasharray="${headDash(h)}">${drawn.join("")}</g>`;
    }).join("");
  };

  // ---- heat maps: one button per head ---------------------------------------------------------------------------
  const cell = Math.max(1, Math.min(26, Math.floor(MAP / Math.max(numQueries, numKeys))));
  const unit = cell * Math.ceil(window.devicePixelRatio); // in the canvas' own pixels

  const maps = model.get("captions").map((_, h) => {
    const canvas = element("canvas", { width: numKeys * unit, height: numQueries * unit });
    canvas.style.width = `${numKeys * cell}px`;
    const caption = element("span", { className: "caption" });
    const mark = element("span", { className: "mark" }); // around the active token's row or column
    const sample = document.createElementNS(SVG, "svg"); // of its lines
    sample.setAttribute("class", "sample");
    sample.innerHTML = `<path d="M0 3H48" stroke-width="3" stroke-dasharray="${headDash(h)}"/>`;
    const button = element("button", { type: "button", className: "map", title: say("toggle") },
      element("span", { textContent: say("head", { number: h + 1 }) }), sample, element("span", { className: "cells" }, canvas, mark),
      caption);
    button.style.setProperty("--head", headColor(h));
    button.addEventListener("click", () => {
      const shown = model.get("shown");
      model.set("shown", shown.includes(h) ? shown.filter((n) => n !== h) : [...shown, h].sort((a, b) => a - b));
      model.save_changes();
    });
    return { button, canvas, caption, mark };
  });

  const drawCells = ({ canvas }, h) => {
    const paper = canvas.getContext("2d");
    const line = cell > 4 ? 1 : 0;
    paper.fillStyle = "white";
    paper.fillRect(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < numQueries; i++)
      for (let j = 0; j < numKeys; j++) {
        paper.fillStyle = scale(weight(h, i, j));
        paper.fillRect(j * unit, i * unit, unit - line, unit - line);
      }
  };

  const drawAround = ({ button, caption, mark }, h) => {
    button.ariaPressed = model.get("shown").includes(h);
    caption.textContent = model.get("captions")[h];
    const token = active();
    mark.hidden = !token;
    if (!token) return;
    const isRow = token.side === "query", at = token.index * cell;
    const [top, left, height, width] = isRow ? [at, 0, cell, numKeys * cell] : [0, at, numQueries * cell, cell];
    for (const [name, px] of Object.entries({ top, left, height, width })) mark.style[name] = `${px}px`;
  };

  // ---- the active token's weights in numbers --------------------------------------------------------------------
  const status = element("div", { className: "status", ariaLive: "polite" });

  const drawNumbers = (shown) => {
    const token = active();
    const other = token?.side === "query" ? "key" : "query";
    const mean = !token || !shown.length ? null : labels[other].map((_, n) => {
      const of = (h) => (token.side === "query" ? weight(h, token.index, n) : weight(h, n, token.index));
      return shown.reduce((sum, h) => sum + of(h), 0) / shown.length;
    });
    for (const side of ["query", "key"])
      tokens[side].forEach((button, index) => {
        const share = side === other && mean ? mean[index] : null;
        button.classList.toggle("active", is(token, side, index));
        button.ariaPressed = is(pinned, side, index);
        button.style.setProperty("--share", share ?? 0);
        button.querySelector(".number").textContent = share?.toFixed(2) ?? "";
      });
    status.textContent = statusText(token, shown, other, mean);
  };

  const statusText = (token, shown, other, mean) => {
    if (!shown.length) return say("none shown");
    if (!token) return say("none active");
    const largest = mean.map((w, n) => [w, labels[other][n]]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    const others = largest.map(([w, label]) => `${label} ${w.toFixed(2)}`).join(say("and"));
    const said = say(token.side === "query" ? "attends" : "attended", { token: labels[token.side][token.index], others });
    return shown.length > 1 ? say("mean", { said, count: shown.length }) : say("single", { said, number: shown[0] + 1 });
  };

  // ---- all of it ------------------------------------------------------------------------------------------------
  const draw = () => {
    const shown = model.get("shown");
    maps.forEach(drawAround);
    drawLines(shown);
    drawNumbers(shown);
  };
  const refresh = () => {
    read();
    maps.forEach(drawCells);
    draw();
  };

  const lines = element("div", { className: "lines" }, tokenColumn("query"), svg, tokenColumn("key"));
  const montage = element("div", { className: "maps", role: "group", ariaLabel: say("heads") },
    ...maps.map(({ button }) => button));
  el.classList.add("largemodels-heads");
  el.append(element("div", {}, lines, status), montage);
  refresh();

  const listeners = { "change:weights": refresh, "change:captions": draw, "change:shown": draw };
  for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
  return () => { for (const [event, listener] of Object.entries(listeners)) model.off(event, listener); };
}

export default { render };
