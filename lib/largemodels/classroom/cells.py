"""Which answers come from a cell as it stands: a cell that fails leaves behind what its last run made of a name."""

import ast
import re
import sys
from collections.abc import Iterable
from typing import Any

from ..language import say

MISSING = object()


class Cells:
    """Told of every cell before and after it is run, knows which `names` are older than the cell that gives them.

    Args:
        namespace: the notebook's variables.
        names: those to look after.
    """

    def __init__(self, namespace: dict[str, Any], names: Iterable[str]):
        self.namespace, self.names = namespace, list(names)
        self._before: dict[str, Any] = {}
        self._cell_of: dict[str, str | None] = {}  # name → id of the cell that gave it last
        self._left: dict[str, tuple[Any, str]] = {}  # name → the value left behind, and why

    def before(self, info) -> None:
        """IPython's ``pre_run_cell``."""
        self._before = {name: self.namespace.get(name, MISSING) for name in self.names}
        for name in assigned(info.raw_cell) & self._left.keys():  # the check may follow in the same cell
            del self._left[name]

    def after(self, result) -> None:
        """IPython's ``post_run_cell``."""
        error = result.error_before_exec or result.error_in_exec
        cell, written = result.info.cell_id, assigned(result.info.raw_cell)
        for name in self.names:
            value = self.namespace.get(name, MISSING)
            came = value is not self._before.get(name, MISSING)
            if came or (name in written and not error):
                self._cell_of[name] = cell
                self._left.pop(name, None)
            elif name in written:
                self._left[name] = (
                    value,
                    (
                        say(
                            "The cell that should give `{name}` stopped with {kind}: {error}. So there is only the `{name}` "
                            "of an earlier run, which is not judged: mend the cell, run it, then check again.",
                            name=name,
                            kind=_public_name(type(error)),
                            error=error,
                        )
                    ),
                )
            elif cell is not None and self._cell_of.get(name, MISSING) == cell:
                self._left[name] = (
                    value,
                    (
                        say(
                            "The cell that gave `{name}` has been run since, and no longer gives it; is the name misspelt? "
                            "There is only the `{name}` of an earlier run, which is not judged.",
                            name=name,
                        )
                    ),
                )

    def left_behind(self, name: str, value: Any) -> str | None:
        """Why `value` is not what the cell of `name` gives as it stands; None if it is."""
        left, why = self._left.get(name, (MISSING, ""))
        return why if left is value else None


def _public_name(error: type) -> str:
    """SyntaxError, say, for what it is called inside: from Python 3.13 on IPython gets an _IncompleteInputError."""
    return next(kind.__name__ for kind in error.__mro__ if not kind.__name__.startswith("_"))


def assigned(source: str) -> set[str]:
    """The names that a cell gives outside functions and classes; of a cell that is no Python, as far as its lines tell."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        defined = re.findall(r"^(?:async +def|def|class) +(\w+)", source, re.MULTILINE)
        targets = re.findall(r"^(\w[\w ,]*?)(?::[^=\n]*)?=(?!=)", source, re.MULTILINE)
        return {*defined, *(name for target in targets for name in re.findall(r"\w+", target))}
    return set(_assigned(tree))


def _assigned(node: ast.AST) -> Iterable[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child.name
        elif isinstance(child, ast.Name):
            if isinstance(child.ctx, ast.Store):
                yield child.id
        elif not isinstance(child, ast.Lambda):
            yield from _assigned(child)


def watched(names: Iterable[str]) -> Cells:
    """The cells of this notebook from now on; outside IPython there are none, and nothing is ever left behind."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return Cells({}, [])
    cells = Cells(shell.user_ns, names)
    shell.events.register("pre_run_cell", cells.before)
    shell.events.register("post_run_cell", cells.after)
    return cells
