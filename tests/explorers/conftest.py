"""What the tests of the explorers with a module of their own share: a page that shows one, without Jupyter."""

import base64
import json

import pytest

PAGE = """<!doctype html><meta charset="utf-8"><style>{css}</style>
<body data-jp-theme-light="true"><div id="root"></div>
<script type="module">
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const state = {state}, listeners = {{}};
  for (const [name, text] of Object.entries({buffers})) state[name] = bytes(text);
  window.saved = 0;
  window.model = {{ // what anywidget hands to a module, in short
    get: (name) => state[name],
    set: (name, value) => {{ state[name] = value; (listeners[`change:${{name}}`] ?? []).forEach((f) => f()); }},
    save_changes: () => {{ window.saved++; }},
    on: (event, f) => {{ (listeners[event] ??= []).push(f); }},
    off: (event, f) => {{ listeners[event] = listeners[event].filter((g) => g !== f); }},
  }};
  window.sent = (name) => [...new Uint8Array(state[name].buffer, state[name].byteOffset, state[name].byteLength)];
  window.send = (name, text) => model.set(name, bytes(text));
  window.listening = () => Object.values(listeners).flat().length;
  const {{ default: widget }} = await import("data:text/javascript;base64,{module}");
  window.dispose = widget.render({{ model, el: document.getElementById("root") }});
</script>"""


@pytest.fixture
def show(chromium):
    """A function that opens a view in a page of its own, with the state that Jupyter would send."""
    context = chromium.new_context(viewport={"width": 1000, "height": 700})
    context.set_default_timeout(20_000)
    complaints = []

    def open_page(view):
        state = view.get_state()
        module, css = base64.b64encode(state.pop("_esm").encode()).decode(), state.pop("_css")
        buffers = {name: base64.b64encode(value).decode() for name, value in state.items() if isinstance(value, bytes)}
        state = {name: value for name, value in state.items() if name not in buffers}
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
        content = {"css": css, "state": json.dumps(state), "buffers": json.dumps(buffers), "module": module}
        page.set_content(PAGE.format(**content))
        page.wait_for_function("() => Boolean(window.dispose)")
        return page

    yield open_page
    context.close()
    assert complaints == []  # no error on the page, nothing fetched
