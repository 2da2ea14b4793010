// What JupyterLab has no setting for, as one of its "federated" extensions. Written by hand: no build step.
//   - tabs say in which folder a notebook lies: chapter, exercises and solutions of one subject share a file name;
//   - pictures get the alternative text that is kept beside them in the notebook;
//   - course.css.

(() => {
  const here = new URL(".", document.currentScript.src);

  const loadStyles = () => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: new URL("course.css", here) });
    document.head.append(link);
  };

  // Every main widget with a path is a document. Its label is the file's name, and to change it would rename the file;
  // the folder goes beside it, by course.css.
  const nameTabs = (shell) => {
    const name = ({ title, context }) => {
      const folders = context.path.split("/").slice(0, -1);
      const edition = /^[a-z]{2}$/.test(folders.at(-1) ?? ""); // exercises/zh
      const folder = folders.slice(edition ? -2 : -1).join("/");
      title.dataset = { ...title.dataset, ...(folder && { folder }) };
    };
    const known = new WeakSet();
    const look = () => {
      for (const widget of shell.widgets("main")) {
        if (!widget.context?.path || known.has(widget)) continue;
        known.add(widget);
        name(widget);
        widget.context.pathChanged.connect(() => name(widget));
      }
    };
    shell.layoutModified.connect(look);
    look();
  };

  // The renderer of pictures, with one line more.
  const describePictures = (registry, { RenderedImage }) => {
    class DescribedImage extends RenderedImage {
      async renderModel(model) {
        await super.renderModel(model);
        const alt = model.metadata[this.mimeType]?.alt;
        if (alt !== undefined) this.node.querySelector("img").alt = alt;
      }
    }
    const createRenderer = (options) => new DescribedImage(options);
    registry.addFactory({ safe: true, mimeTypes: ["image/png", "image/jpeg"], defaultRank: 90, createRenderer });
  };

  let shared; // modules that JupyterLab shares with its extensions: name → version → { get }
  const module = async (name) => (await Object.values(shared[name])[0].get())();

  const extension = async () => {
    const rendermime = await module("@jupyterlab/rendermime");
    return {
      id: "largemodels:course",
      autoStart: true,
      requires: [rendermime.IRenderMimeRegistry],
      activate: ({ shell }, registry) => {
        loadStyles();
        nameTabs(shell);
        describePictures(registry, rendermime);
      },
    };
  };

  (window._JUPYTERLAB ??= {}).largemodels = {
    init: async (scope) => { shared = scope; },
    get: async () => { const plugin = await extension(); return () => ({ __esModule: true, default: plugin }); },
  };
})();
