"""What a notebook's kernel offers its cells, for a process that has none: `check`, `display`, `input`, ``await`` …

Nothing here shows anything or starts anything: a figure, a widget or a line of the shell means nothing to a grade.
"""

import __future__

import ast
import asyncio
import builtins
import functools
import inspect
import operator
import selectors
import sys
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

FUTURES = functools.reduce(operator.or_, (getattr(__future__, n).compiler_flag for n in __future__.all_feature_names))


class Cells:
    """Runs cells as a notebook does: ``await`` may stand outside of functions, ``from __future__ import …`` holds for
    the cells that follow, too, and what a cell shows last is ``_`` in them."""

    def __init__(self, namespace: dict):
        self.namespace, self.futures = namespace, 0
        self.shown = {"_": "", "__": "", "___": ""}
        namespace |= self.shown
        sys.displayhook = self._show  # Python calls it with the value of an expression that is a statement by itself

    def run(self, code: str, name: str) -> None:
        for part in self._parts(code, name):
            self._run(part)

    def _parts(self, code: str, name: str) -> list[CodeType]:
        """The whole cell, or two parts of it: the second is the expression that it shows."""
        whole = self._compiled(code, name, "exec")
        with suppress(RecursionError):  # Python's trees cannot be as deep as its texts
            tree = self._compiled(code, name, "exec", ast.PyCF_ONLY_AST)
            if _shows(code, tree.body):
                last = ast.Interactive([tree.body.pop()])
                return [self._compiled(tree, name, "exec"), self._compiled(last, name, "single")]
        return [whole]

    def _compiled(self, code: str | ast.Module | ast.Interactive, name: str, mode: str, flags: int = 0) -> Any:
        flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | self.futures
        compiled = compile(code, name, mode, flags=flags, dont_inherit=True)
        if isinstance(compiled, CodeType):
            self.futures |= compiled.co_flags & FUTURES
        return compiled

    def _run(self, compiled: CodeType) -> None:
        if compiled.co_flags & inspect.CO_COROUTINE:
            with asyncio.Runner(loop_factory=_Loop) as runner:
                runner.run(_finish(eval(compiled, self.namespace)))
        else:
            exec(compiled, self.namespace)

    def _show(self, value: object) -> None:
        """Nothing is shown, but remembered as IPython does, unless the notebook uses such a name for its own things."""
        if value is not None and all(self.namespace.get(name) is kept for name, kept in self.shown.items()):
            self.shown = {"_": value, "__": self.shown["_"], "___": self.shown["__"]}
            self.namespace |= self.shown


def _shows(code: str, statements: list[ast.stmt]) -> bool:
    """Whether a cell ends with an expression, and not with a semicolon behind it."""
    if not statements or not isinstance(last := statements[-1], ast.Expr):
        return False
    lines = code.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    behind = lines[last.end_lineno - 1].encode()[last.end_col_offset :]
    return not behind.lstrip().startswith(b";")


async def _finish(cell: Any) -> None:
    await cell


class _Loop(asyncio.SelectorEventLoop):
    """An event loop without the pair of sockets by which threads wake it: behind the walls there are no sockets."""

    def __init__(self) -> None:
        super().__init__(selectors.SelectSelector())

    def _make_self_pipe(self) -> None:
        self._ssock = self._csock = None

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


class Anything:
    """Takes every request, also of a part of it (``shell.events.register(…)``), does nothing, returns None."""

    def __getattr__(self, name: str) -> "Anything":
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    def __call__(self, *arguments: Any, **keywords: Any) -> None:
        pass


class Shell(Anything):
    """`get_ipython()`."""

    def __init__(self, namespace: dict):
        self.user_ns, self.config = namespace, {}


Shell.__name__ = "ZMQInteractiveShell"  # by which programs tell a notebook from a script


class Handle:
    """What `display` returns to whoever gives what is displayed a name: it can be shown again."""

    def __init__(self, display_id: object):
        self.display_id = display_id

    def display(self, *objects: Any, **options: Any) -> None:
        pass

    update = display


def display(*objects: Any, display_id: object = None, **options: Any) -> Handle | None:
    """Shows nothing."""
    return Handle(display_id) if display_id else None


def stand_in(module: ModuleType, check: Callable, *, ipython: bool) -> None:
    """Give the notebook that runs as `module` what it would find in a kernel, and `check` as the course's.

    `ipython`: whether its cells speak of IPython, which takes a moment to import.
    """
    shell = Shell(module.__dict__)
    builtins.get_ipython = lambda: shell
    builtins.display = display
    builtins.input = lambda prompt="": ""  # nobody is there to type anything
    if ipython:
        import IPython.display

        IPython.get_ipython = IPython.core.getipython.get_ipython = builtins.get_ipython
        IPython.display.display = display
    classroom = sys.modules["largemodels.classroom"]
    classroom.__all__ = ["check", "exercises", "hand_in", "progress"]
    classroom.check = check
    classroom.progress = classroom.hand_in = lambda *arguments, **keywords: SimpleNamespace()
    classroom.exercises = {}
