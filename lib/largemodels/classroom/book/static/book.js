// What the pages need beside Sphinx's and the theme's own scripts.

// Search results quote the pages that they find; of pages that are opened as files a browser does not let them.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Explorers ask for the theme as in JupyterLab.
document.addEventListener("DOMContentLoaded", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const tell = () => {
    const { theme } = document.body.dataset;
    document.documentElement.dataset.jpThemeLight = !(theme === "dark" || (theme !== "light" && dark.matches));
  };
  new MutationObserver(tell).observe(document.body, { attributeFilter: ["data-theme"] });
  dark.addEventListener("change", tell);
  tell();

  for (const caption of document.querySelectorAll(".caption[role=heading]")) caption.ariaLevel = 2;

  // What the theme leaves without a name: its two columns at the sides, and the empty corners of tables.
  for (const [name, title] of [[".sidebar-drawer", ".sidebar-brand-text"], [".toc-drawer", ".toc-title"]]) {
    const side = document.querySelector(`aside${name}`), said = document.querySelector(title);
    if (side && said) side.ariaLabel = said.textContent.trim();
  }
  for (const corner of document.querySelectorAll("article th")) {
    if (corner.textContent.trim()) continue;
    const cell = document.createElement("td");
    cell.className = corner.className;
    corner.replaceWith(cell);
  }
});

// What is wider than the page is scrolled with the keyboard, too; formulas get their width late.
const reachable = () => {
  for (const part of document.querySelectorAll("article :is(pre, .math-wrapper, .table-wrapper, .output, .live-explorer)"))
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
    else part.removeAttribute("tabindex");
};
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  reachable();
  addEventListener("resize", reachable);
});
