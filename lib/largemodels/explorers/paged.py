"""What of an explorer a page without a kernel needs to let it answer: a notebook keeps it beside the widget.

Sliders whose answer is arithmetic are answered there by a script (``classroom/book/live.js``); what asks a model is not.
"""

import base64

PAGE = "application/vnd.largemodels.explorer+json"


class Paged:
    """Before the widget's class among the bases."""

    def page(self) -> dict:
        """The name of the script's function in ``"explorer"``, and what it is given; see ``live.js``."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)  # a dictionary; anywidget's with metadata beside
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data[PAGE] = as_javascript(self.page())
        return bundle


def as_javascript(value):
    """Numbers as JavaScript writes them, where 4.0 is 4: JupyterLab, saving a notebook, must find nothing to change."""
    if isinstance(value, dict):
        return {key: as_javascript(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_javascript(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def packed(value):
    """Bytes as a dictionary that JSON can hold and ``live.js`` unpacks; all else as it is."""
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def shared_state(widget, *names: str) -> dict:
    """These of a widget's traits, packed."""
    return {name: packed(getattr(widget, name)) for name in names}


def slider(widget) -> dict:
    """What a slider of ipywidgets needs to be one of HTML; one with a ``base`` counts in powers of it."""
    names = ("description", "min", "max", "step", "value", "base")
    return {name: getattr(widget, name) for name in names if hasattr(widget, name)}
