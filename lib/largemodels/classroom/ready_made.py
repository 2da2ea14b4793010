"""What an exercise asks to write, ready made: an answer that calls it is told so.

The rule serves honest people, in the notebook and when grading: it finds calls, by whatever name. Someone who copies
the library's source into a cell calls nothing; a report on identical answers is for that.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ..language import say

_NN, _F = "torch.nn.", "torch.nn.functional."
PYTORCH = {  # PyTorch's version of a part of the library, where it has one
    "attention.scaled_dot_product_attention": (_F + "scaled_dot_product_attention",),
    "attention.MultiHeadAttention": (
        _NN + "MultiheadAttention",
        _F + "multi_head_attention_forward",
        _F + "scaled_dot_product_attention",
    ),
    "blocks.LayerNorm": (_NN + "LayerNorm", _F + "layer_norm", "torch.layer_norm"),
    "blocks.RMSNorm": (_NN + "RMSNorm", _F + "rms_norm", "torch.rms_norm"),
    "blocks.Block": (_NN + "TransformerEncoderLayer", _NN + "TransformerDecoderLayer"),
    "transformer.Transformer": (_NN + "Transformer",),
}
# Where a name goes on with an argument, it is that argument which an exercise asks to write; calls without it are tools.
SMOOTHED = tuple(
    f"{name}(label_smoothing=…)"
    for name in (_F + "cross_entropy", _NN + "CrossEntropyLoss", "largemodels.losses.cross_entropy")
)


def told(name: str, *, is_it: bool = False) -> str:
    """What an answer hears that calls `name`, or is it. True of a part as of the whole."""
    if is_it:
        return say("your answer is `{name}`, which is what this exercise asks you to write, or a part of it", name=name)
    return say("your code calls `{name}`, which is what this exercise asks you to write, or a part of it", name=name)


class ReadyMade(BaseException):
    """An answer called what it was asked to write; ``except Exception`` in that answer lets it through."""


def library_parts(reference: Any) -> tuple[str, ...]:
    """The dotted names of the library's functions and classes that a reference is made of.

    A reference is such a function itself, or a few lines around some; helpers of the exercises' own modules are
    followed.
    """
    found, seen = set(), set()

    def visit(value: Any) -> None:
        value = value.func if isinstance(value, functools.partial) else value
        module = getattr(value, "__module__", None) or ""
        if _is_library(module) and isinstance(value, FunctionType | type):
            found.add(f"{module}.{value.__qualname__.split('.')[0]}")
        elif (
            module.startswith("largemodels.classroom.exercises")
            and isinstance(value, FunctionType)
            and value not in seen
        ):
            seen.add(value)
            for used in _used(value):
                visit(used)

    visit(reference)
    return tuple(sorted(name for name in found if not name.endswith("Config")))


def torch_parts(parts: tuple[str, ...]) -> tuple[str, ...]:
    """What PyTorch has ready for the same `parts`."""
    return tuple(name for part in parts for name in PYTORCH.get(part.removeprefix("largemodels."), ()))


def _used(function: FunctionType) -> Iterator[Any]:
    """The global and enclosed values that a function's code names; of a module those of its attributes."""
    names = [name for code in _codes(function.__code__) for name in code.co_names]
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType):
            yield from (getattr(value, attribute, None) for attribute in names)
        else:
            yield value
    for cell in function.__closure__ or ():
        yield cell.cell_contents


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _is_library(module: str) -> bool:
    return module.startswith("largemodels.") and not module.startswith("largemodels.classroom")


@contextmanager
def refused(names: tuple[str, ...]) -> Iterator[list[str]]:
    """Inside, a call of one of `names` from an answer raises `ReadyMade`; yields the names that were called so far.

    Calls from within the library and PyTorch go through: an answer may be handed a model that is made of them, and the
    exercises' own wrong answers are often the library's function with a twist.
    """
    calls: list[str] = []
    undo: list[Callable[[], None]] = []
    try:
        _refuse(names, calls, undo)
        yield calls
    finally:
        for step in reversed(undo):
            step()


def ready_made_name(answer: Any, names: tuple[str, ...]) -> str | None:
    """The name under which `answer` itself is ready made, if it is."""
    answer = answer.func if isinstance(answer, functools.partial) else answer
    try:
        answer = getattr(answer, "__wrapped__", answer)
    except Exception:  # an object that answers every question with an exception
        return None
    return next((name for name in names if not _argument(name) and answer is _original(name)), None)


def _original(name: str) -> Any:
    found = _find(name)
    return getattr(found, "__wrapped__", found)


def _refuse(names: tuple[str, ...], calls: list[str], undo: list[Callable[[], None]]) -> None:
    guards = {}
    for name in names:
        original, argument = _find(name), _argument(name)
        if inspect.isclass(original):  # everyone has the same class in hand, by whatever name
            before = original.__init__
            undo.append(functools.partial(setattr, original, "__init__", before))
            original.__init__ = _guard(before, name, argument, calls)
        else:
            guards[id(original)] = _guard(original, name, argument, calls)
    for module in [*sys.modules.values()] if guards else ():
        here = {**getattr(module, "__dict__", {})}
        if guards.keys().isdisjoint(map(id, here.values())):
            continue  # nearly all, and found out without a loop in Python: with it, all of this took half as long again
        for alias, value in here.items():
            if id(value) in guards:
                undo.append(functools.partial(setattr, module, alias, value))
                setattr(module, alias, guards[id(value)])


def _find(name: str) -> Any:
    module, _, attribute = name.partition("(")[0].rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _argument(name: str) -> str:
    """The argument that a name goes on with, or nothing."""
    return name.partition("(")[2].partition("=")[0]


def _guard(original: Callable, name: str, argument: str, calls: list[str]) -> Callable:
    @functools.wraps(original)
    def guard(*args: Any, **kwargs: Any) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if caller.startswith(("largemodels.", "torch.")) or (argument and not _given(argument, original, args, kwargs)):
            return original(*args, **kwargs)
        calls.append(name)
        raise ReadyMade(told(name))

    return guard


def _given(argument: str, function: Callable, args: tuple, kwargs: dict) -> bool:
    """Whether a call gives `argument` a value that does something."""
    try:
        return bool(inspect.signature(function).bind(*args, **kwargs).arguments.get(argument))
    except TypeError:  # such a call fails by itself, and says why
        return False
