// Explorers without a kernel. Before this file stand the ES modules that draw them in JupyterLab, as functions in MODULES;
// a notebook says what they are given (explorers/paged.py). The sliders, which Python answers there, are answered here.

const bytesOf = ({ bytes }) => Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
const floatsOf = (packed) => new Float32Array(bytesOf(packed).buffer);
const node = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
// {name} in a text of Python's, and {name:.2f}, {name:,.1f}.
const fill = (text, values) => text.replace(/\{(\w+)(?::(,?)\.(\d)f)?\}/g, (_, name, comma, digits) => {
  if (digits === undefined) return values[name];
  const [minimumFractionDigits, maximumFractionDigits] = [digits, digits];
  return values[name].toLocaleString("en", { useGrouping: Boolean(comma), minimumFractionDigits, maximumFractionDigits });
});
const range = (n) => [...Array(n).keys()];

// What an ES module of anywidget's knows of Python: a state that says when it changes.
class Model {
  constructor(state) {
    this.listeners = {};
    this.state = Object.fromEntries(Object.entries(state).map(([name, value]) =>
      [name, value?.bytes === undefined ? value : new DataView(bytesOf(value).buffer)]));
  }
  get(name) { return this.state[name]; }
  set(name, value) {
    this.state[name] = value;
    for (const listener of this.listeners[`change:${name}`] ?? []) listener();
  }
  save_changes() {}
  on(event, listener) { (this.listeners[event] ??= new Set()).add(listener); }
  off(event, listener) { this.listeners[event]?.delete(listener); }
}

// A slider of ipywidgets as one of HTML; one with a base counts in powers of it.
const slider = ({ description, min, max, step, value, base }, answer) => {
  const power = (x) => (base ? base ** x : x);
  const digits = base || Number.isInteger(step) ? 0 : String(step).split(".")[1].length;
  const input = node("input", { type: "range", min, max, step });
  input.value = base ? Math.log(value) / Math.log(base) : value;
  const output = node("output");
  const show = () => { output.textContent = power(+input.value).toFixed(digits); };
  input.addEventListener("input", () => { show(); answer(); });
  show();
  return { row: node("label", {}, node("span", { textContent: description }), input, output), get value() { return power(+input.value); } };
};
const slidersIn = (el, declared, answer) => {
  const sliders = Object.fromEntries(declared.map(([name, one]) => [name, slider(one, answer)]));
  el.append(node("div", { className: "sliders" }, ...Object.values(sliders).map(({ row }) => row)));
  return sliders;
};

// exp(x) / sum, of what is not −∞; zeros if there is nothing.
const softmax = (scores) => {
  const top = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const parts = scores.map((x) => (x === -Infinity ? 0 : Math.exp(x - top)));
  const sum = parts.reduce((a, b) => a + b, 0);
  return parts.map((x) => (sum ? x / sum : 0));
};
const entropy = (weights) => weights.reduce((sum, w) => (w > 0 ? sum - w * Math.log(w) : sum), 0);

const EXPLORERS = {
  // What JupyterLab's module does by itself.
  view(el, { module, state }) {
    const model = new Model(state);
    MODULES[module].render({ model, el });
    return model;
  },

  // Attention heads, under a slider that multiplies the scores; see explorers/heads.py.
  heads(el, { scores, sharpness, caption, ...given }) {
    const raw = [...floatsOf(scores)];
    const [rows, keys] = [given.state.rows.length, given.state.columns.length];
    let model;
    const answer = () => {
      const lines = range(raw.length / keys).map((i) => softmax(
        raw.slice(i * keys, (i + 1) * keys).map((x) => (x === -Infinity ? x : x * sliders.sharpness.value))));
      const captions = range(lines.length / rows).map((h) => {
        const bits = lines.slice(h * rows, (h + 1) * rows).reduce((sum, line) => sum + entropy(line), 0) / rows / Math.LN2;
        return fill(caption, { bits });
      });
      model.set("weights", new DataView(Float32Array.from(lines.flat()).buffer));
      model.set("captions", captions);
    };
    const sliders = slidersIn(el, [["sharpness", sharpness]], answer);
    const view = node("div");
    el.append(view);
    model = EXPLORERS.view(view, given);
  },

  // The sinusoidal encoding and how alike two positions are; see explorers/encodings.py.
  encodings(el, { length, sliders: declared, colors, size: [width, height], texts }) {
    const stops = colors.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
    const colorOf = (value) => { // from −1 to 1
      const at = (Math.min(Math.max(value, -1), 1) + 1) / 2 * (stops.length - 1);
      const low = Math.min(Math.floor(at), stops.length - 2);
      return stops[low].map((from, c) => Math.round(from + (at - low) * (stops[low + 1][c] - from)));
    };
    const [waves, canvas, curve] = [node("div", { ariaLive: "polite" }), node("canvas", { width: length }), node("div")];
    const caption = fill(texts.axes, { last: length - 1 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", caption);
    canvas.style.cssText = `width: ${width}px; height: ${height}px; image-rendering: pixelated`;
    const answer = () => {
      const [clocks, base] = [sliders.clocks.value, sliders.base.value];
      const speeds = range(clocks).map((k) => base ** (-k / clocks));
      const longest = 2 * Math.PI * base ** (1 - 1 / clocks);
      waves.textContent = fill(texts.waves, { shortest: 2 * Math.PI, longest });
      canvas.height = 2 * clocks; // which empties it
      const paper = canvas.getContext("2d");
      const image = paper.createImageData(length, 2 * clocks);
      speeds.forEach((speed, k) => range(length).forEach((position) => [Math.sin, Math.cos].forEach((wave, odd) =>
        image.data.set([...colorOf(wave(position * speed)), 255], 4 * ((2 * k + odd) * length + position)))));
      paper.putImageData(image, 0, 0);
      const points = range(length).map((position) => {
        const alike = speeds.reduce((sum, speed) => sum + Math.cos(position * speed), 0) / clocks;
        return `${(position * width / (length - 1)).toFixed(1)},${(height * (1.05 - alike) / 2.1).toFixed(1)}`;
      });
      curve.innerHTML = `<svg role="img" aria-label="" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none"
        style="width: ${width}px; height: ${height}px"><line x1="0" x2="${width}" y1="${height / 2}" y2="${height / 2}"
        class="zero" stroke-dasharray="4"/><polyline points="${points.join(" ")}" fill="none" class="curve"
        stroke-width="2"/></svg>`;
      curve.firstChild.setAttribute("aria-label", texts.alike);
    };
    const sliders = slidersIn(el, declared, answer);
    el.append(waves, node("div", { textContent: caption }), canvas,
      node("div", { textContent: texts.alike }), curve);
    answer();
  },

  // What a model would write next, from the logits it gave for one prompt; see explorers/sampling.py.
  sampling(el, { prompt, logits, shown, sliders: declared, bar, texts }) {
    const given = [...floatsOf(logits)];
    const plain = softmax(given);
    const order = range(given.length).sort((a, b) => given[b] - given[a]);
    const probabilities = (temperature, topK, topP) => {
      if (temperature === 0) return given.map((_, i) => (i === order[0] ? 1 : 0));
      const least = topK ? given[order[Math.min(topK, order.length) - 1]] : -Infinity;
      const kept = softmax(given.map((x) => (x < least ? -Infinity : x / temperature)));
      if (topP >= 1) return kept;
      const nucleus = given.map(() => 0);
      for (let i = 0, before = 0; i < order.length && before < topP; before += kept[order[i++]])
        nucleus[order[i]] = kept[order[i]];
      const sum = nucleus.reduce((a, b) => a + b, 0);
      return nucleus.map((p) => p / sum);
    };
    const [words, table] = [node("div", { ariaLive: "polite" }), node("table")];
    const row = (name, was, is) => {
      const bars = node("td", {}, node("div", { className: "bar" }), node("div", { className: "thin" }));
      bars.firstChild.style.cssText = `height: 8px; width: ${(bar * is).toFixed(1)}px`;
      bars.lastChild.style.cssText = `height: 2px; width: ${(bar * was).toFixed(1)}px`;
      const head = node("th", { scope: "row", textContent: name });
      head.style.fontFamily = "monospace";
      return node("tr", { className: is > 0 ? "" : "soft" }, head,
        node("td", { className: "number", textContent: is.toFixed(3) }), bars);
    };
    const answer = () => {
      const now = probabilities(sliders.temperature.value, sliders.top_k.value, sliders.top_p.value);
      const sumOf = (all) => shown.reduce((sum, [token]) => sum + all[token], 0);
      const kept = now.filter((p) => p > 0).length;
      words.textContent = fill(texts.drawn, { kept, all: now.length, nats: entropy(now) });
      table.replaceChildren(...shown.map(([token, name]) => row(name, plain[token], now[token])),
        row(fill(texts.others, { count: now.length - shown.length }), 1 - sumOf(plain), Math.max(0, 1 - sumOf(now))));
    };
    const sliders = slidersIn(el, declared, answer);
    el.append(node("div", { className: "soft", textContent: fill(texts.fixed, { prompt }) }), words, table,
      node("div", { className: "soft", textContent: texts.legend }));
    answer();
  },
};

for (const el of document.querySelectorAll(".live-explorer")) {
  const { explorer, ...given } = JSON.parse(el.dataset.state);
  el.classList.add("largemodels");
  EXPLORERS[explorer](el, given);
}
