// Attention heads: query tokens, lines, key tokens, and one small heat map per head. Plain ES module, no dependency.

const ROW = 26; // height of a token, and the distance between the ends of two lines (heads.css: --row)
const GAP = 200; // width of the space that the lines cross
const THINNEST = 0.01; // a weight below this is not drawn

const element = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

// "#rrggbb" stops to a function from 0 … 1 to a CSS colour.
const colorScale = (stops) => {
  const rgb = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  return (x) => {
    const at = Math.min(Math.max(x, 0), 1) * (rgb.length - 1);
    const low = Math.min(Math.floor(at), rgb.length - 2);
    const mixed = rgb[low].map((from, c) => Math.round(from + (at - low) * (rgb[low + 1][c] - from)));
    return `rgb(${mixed})`;
  };
};

function render({ model, el }) {
  const queries = model.get("rows"), keys = model.get("columns");
  const numHeads = model.get("captions").length;
  const colors = model.get("colors"), scale = colorScale(model.get("scale"));
  const headColor = (h) => colors[h % colors.length];

  let weights; // Float32Array (heads, query, key)
  const weight = (h, i, j) => weights[(h * queries.length + i) * keys.length + j];
  const read = () => {
    const bytes = model.get("weights");
    weights = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  };

  // The token that is looked at: { side: "query" | "key", index }. Pointing at one overrules the one that was clicked.
  let pointed = null, pinned = null;
  const active = () => pointed ?? pinned;
  const isActive = (i, j) => {
    const token = active();
    return !token || token.index === (token.side === "query" ? i : j);
  };

  // ---- tokens -------------------------------------------------------------------------------------------------
  const tokens = { query: [], key: [] };
  const tokenList = (side, labels) => {
    labels.forEach((label, index) => {
      const button = element("button", { type: "button", className: "token", textContent: label, title: label });
      button.tabIndex = index ? -1 : 0; // one stop per list for Tab, the arrow keys do the rest
      button.dataset.side = side;
      const point = () => { pointed = { side, index }; draw(); };
      const leave = () => { pointed = null; draw(); };
      button.addEventListener("pointerenter", point);
      button.addEventListener("pointerleave", leave);
      button.addEventListener("focus", point);
      button.addEventListener("blur", leave);
      button.addEventListener("click", () => {
        pinned = pinned?.side === side && pinned.index === index ? null : { side, index };
        draw();
      });
      button.addEventListener("keydown", (event) => walk(event, side, index));
      tokens[side].push(button);
    });
    const name = side === "query" ? "query tokens" : "key tokens";
    const list = element("div", { className: `tokens ${side}` }, ...tokens[side]);
    list.setAttribute("role", "group");
    list.setAttribute("aria-label", name);
    return element("div", {}, element("div", { className: "heading", textContent: side }), list);
  };

  const walk = (event, side, index) => {
    const other = side === "query" ? "key" : "query";
    const last = tokens[side].length - 1;
    const target = {
      ArrowUp: () => tokens[side][Math.max(index - 1, 0)],
      ArrowDown: () => tokens[side][Math.min(index + 1, last)],
      Home: () => tokens[side][0],
      End: () => tokens[side][last],
      ArrowLeft: () => tokens.query[Math.min(index, queries.length - 1)],
      ArrowRight: () => tokens.key[Math.min(index, keys.length - 1)],
      Escape: () => { pinned = null; return tokens[side][index]; },
    }[event.key]?.();
    if (!target) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has its own meaning for arrow keys
    for (const button of tokens[target.dataset.side]) button.tabIndex = button === target ? 0 : -1;
    target.focus();
    draw();
  };

  // ---- heads --------------------------------------------------------------------------------------------------
  const cell = Math.max(2, Math.min(14, Math.floor(112 / Math.max(queries.length, keys.length))));
  const maps = Array.from({ length: numHeads }, (_, h) => {
    const canvas = element("canvas");
    canvas.style.width = `${keys.length * cell}px`;
    canvas.style.height = `${queries.length * cell}px`;
    canvas.width = keys.length * cell * devicePixelRatio;
    canvas.height = queries.length * cell * devicePixelRatio;
    const caption = element("span", { className: "caption" });
    const button = element("button", { type: "button", className: "map", title: "show or hide this head" },
      element("span", { className: "name", textContent: `head ${h + 1}` }), canvas, caption);
    button.style.setProperty("--head", headColor(h));
    button.addEventListener("click", () => {
      const shown = new Set(model.get("shown"));
      shown.has(h) ? shown.delete(h) : shown.add(h);
      model.set("shown", [...shown].sort((a, b) => a - b));
      model.save_changes();
    });
    return { button, canvas, caption };
  });

  const drawMap = (h) => {
    const paper = maps[h].canvas.getContext("2d");
    const unit = cell * devicePixelRatio, line = cell > 4 ? devicePixelRatio : 0;
    paper.fillStyle = "#fff";
    paper.fillRect(0, 0, keys.length * unit, queries.length * unit);
    for (let i = 0; i < queries.length; i++)
      for (let j = 0; j < keys.length; j++) {
        paper.fillStyle = scale(weight(h, i, j));
        paper.fillRect(j * unit, i * unit, unit - line, unit - line);
      }
    const token = active();
    if (!token) return;
    paper.strokeStyle = "#d55e00";
    paper.lineWidth = 2 * devicePixelRatio;
    const along = token.side === "query"
      ? [0, token.index * unit, keys.length * unit, unit]
      : [token.index * unit, 0, unit, queries.length * unit];
    paper.strokeRect(...along);
  };

  // ---- lines --------------------------------------------------------------------------------------------------
  const height = ROW * Math.max(queries.length, keys.length);
  const lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  lines.setAttribute("viewBox", `0 0 ${GAP} ${height}`);
  lines.setAttribute("width", GAP);
  lines.setAttribute("height", height);
  lines.setAttribute("role", "img");
  lines.setAttribute("aria-label", "a line from each query to each key, as thick as the attention weight");

  const drawLines = (shown) => {
    const spread = Math.min(2.5, 14 / shown.length); // heads side by side, not on top of each other
    const thick = active() ? 7 : 4;
    const groups = shown.map((h, n) => {
      const shift = (n - (shown.length - 1) / 2) * spread + ROW / 2;
      let path = "";
      for (let i = 0; i < queries.length; i++)
        for (let j = 0; j < keys.length; j++) {
          const w = weight(h, i, j);
          if (w < THINNEST || !isActive(i, j)) continue;
          path += `<line x1="0" x2="${GAP}" y1="${i * ROW + shift}" y2="${j * ROW + shift}"`
            + ` stroke-width="${(thick * w).toFixed(2)}" stroke-opacity="${(0.2 + 0.7 * w).toFixed(2)}"/>`;
        }
      return `<g class="head" style="--head:${headColor(h)}">${path}</g>`;
    });
    lines.innerHTML = groups.join("");
  };

  // ---- what the active token gives or gets, in numbers ----------------------------------------------------------
  const status = element("div", { className: "status" });
  status.setAttribute("aria-live", "polite");

  const drawNumbers = (shown) => {
    const token = active();
    for (const side of ["query", "key"])
      tokens[side].forEach((button, index) => {
        const isToken = token?.side === side && token.index === index;
        button.classList.toggle("active", isToken);
        button.setAttribute("aria-pressed", pinned?.side === side && pinned.index === index);
        button.style.setProperty("--share", 0);
        delete button.dataset.weight;
      });
    if (!shown.length) { status.textContent = "No head is shown: click on a heat map."; return; }
    if (!token) { status.textContent = "Point at a token, or walk there with Tab and the arrow keys."; return; }
    const isQuery = token.side === "query";
    const [from, to] = isQuery ? [queries, keys] : [keys, queries];
    const mean = to.map((_, n) => shown.reduce(
      (sum, h) => sum + (isQuery ? weight(h, token.index, n) : weight(h, n, token.index)), 0) / shown.length);
    tokens[isQuery ? "key" : "query"].forEach((button, n) => {
      button.style.setProperty("--share", mean[n]);
      button.dataset.weight = mean[n].toFixed(2);
    });
    const top = mean.map((w, n) => [w, to[n]]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    status.textContent = `${isQuery ? "query" : "key"} “${from[token.index]}” ${isQuery ? "→" : "←"} `
      + top.map(([w, label]) => `${label} ${w.toFixed(2)}`).join(", ")
      + (shown.length > 1 ? ` (mean of ${shown.length} heads)` : ` (head ${shown[0] + 1})`);
  };

  const draw = () => {
    const shown = model.get("shown");
    maps.forEach(({ button, caption }, h) => {
      const text = model.get("captions")[h];
      caption.textContent = text;
      button.setAttribute("aria-pressed", shown.includes(h));
      button.setAttribute("aria-label", `head ${h + 1}${text ? `, ${text}` : ""}`);
      drawMap(h);
    });
    drawLines(shown);
    drawNumbers(shown);
  };

  const bars = element("div", { className: "lines" }, tokenList("query", queries), lines, tokenList("key", keys));
  const montage = element("div", { className: "maps" }, ...maps.map(({ button }) => button));
  montage.setAttribute("role", "group");
  montage.setAttribute("aria-label", "attention heads");
  el.classList.add("largemodels-heads");
  el.append(element("div", { className: "both" }, bars, montage), status);

  const refresh = () => { read(); draw(); };
  refresh();
  model.on("change:weights", refresh);
  model.on("change:captions", draw);
  model.on("change:shown", draw);
  return () => {
    model.off("change:weights", refresh);
    model.off("change:captions", draw);
    model.off("change:shown", draw);
  };
}

export default { render };
