"""Progress bars. In a notebook tqdm's own is a widget, which is gone when the notebook is opened again; ours is text."""

import sys
from io import StringIO

from tqdm import tqdm


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def progress_bar(iterable=None, **options) -> tqdm:
    """A `tqdm` with its `options`; in a notebook its line is an output that stays where it is and is written anew."""
    if not in_notebook():
        return tqdm(iterable, **options)
    # Twice a second: whoever runs a notebook without a page keeps at most a thousand messages of a cell.
    return Line(iterable, file=StringIO(), **{"ncols": 90, "mininterval": 0.5} | options)


class Line(tqdm):
    """A bar in a notebook. What tqdm itself writes, line ends between its lines, goes to a `file` nobody reads."""

    @staticmethod
    def status_printer(file):
        from IPython.display import display

        handle = None

        def show(line: str) -> None:
            nonlocal handle
            bundle = {"text/plain": line}
            if handle is None:
                handle = display(bundle, raw=True, display_id=True)
            else:
                handle.update(bundle, raw=True)

        return show
