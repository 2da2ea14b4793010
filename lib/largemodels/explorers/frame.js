// What every explorer owes the notebook that it is a guest in. Plain ES module, no dependency. See frame.py.

// Keys end here: in a notebook "d d" deletes the cell and Shift + Enter runs it. Saving is still the notebook's.
const keepKeys = (root) => root.addEventListener("keydown", (event) => {
  if (!((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s")) event.stopPropagation();
});

// ipywidgets' sliders have a label beside them, but their handles have no name.
const giveNames = (root) => {
  for (const slider of root.querySelectorAll(".widget-slider")) {
    const name = slider.querySelector(".widget-label")?.textContent;
    for (const handle of slider.querySelectorAll("[role=slider]"))
      if (name && handle.ariaLabel !== name) handle.ariaLabel = name;
  }
};

// The words that Python sends: say("name", { a: 1 }) is what stands under the name, with 1 in the place of {a}.
const speaker = (model) => (name, values = {}) =>
  model.get("words")[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);

// A widget that is an explorer by itself.
const framed = (render) => ({ model, el }) => {
  el.classList.add("largemodels");
  keepKeys(el);
  return render({ model, el });
};

// An invisible widget among others: the box around them is the explorer.
const renderFrame = ({ model, el }) => {
  const note = speaker(model)("silent");
  let waiting = requestAnimationFrame(function attached() { // at first the view lies outside of the page
    const root = el.closest(".largemodels");
    if (!root) { waiting = requestAnimationFrame(attached); return; }
    keepKeys(root);
    giveNames(root);
    new MutationObserver(() => giveNames(root)).observe(root, { childList: true, subtree: true });
  });
  // The answer is the element's, since a busy page may render it twice and forget the first.
  const silent = setTimeout(() => { if (!el.dataset.answered) el.textContent = note; }, 5000);
  model.on("msg:custom", () => { el.dataset.answered = true; el.textContent = ""; });
  model.send("Is anybody there?");
  return () => { cancelAnimationFrame(waiting); clearTimeout(silent); };
};
