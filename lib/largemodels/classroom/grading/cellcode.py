"""The Python that a notebook's cell means, and the names in it.

IPython's own transformer takes away indents and prompts and turns magics into calls; these calls are then replaced by
what they mean to a program that shows nothing: ``%time f()`` is ``f()``, ``%run helper.py`` runs that file, ``!ls`` is
nothing, ``files = !ls`` is an empty list.
"""

import ast
import re
import shlex
import symtable
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

LONGEST = 200_000  # characters of one cell; no person writes more
MOST_TRANSFORMED = 2_000  # lines that IPython is asked about: its time grows with their square
RUNS_ITS_LINE = ("time", "prun", "memit", "mprun", "lprun", "snakeviz")
RUNS_ITS_CELL = ("time", "prun", "capture", "debug", "memit", "snakeviz")
CAPTURED = "__import__('IPython.utils.capture').utils.capture.CapturedIO(None, None)"  # what was printed: nothing
BROKEN = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
MODULES = frozenset({"torch", "math", "plt", "np", "os", "sys"})


def python(source: str) -> str:
    """The cell as plain Python; what no notebook understands either is left as it is.

    Lines keep their numbers, but in a cell with magics.
    """
    if len(source) > LONGEST:
        return f"raise ValueError('a cell of {len(source):,} characters; at most {LONGEST:,} are run')"
    if _parsed(source) is not None:
        return source
    if magic := re.match(r"\s*%%(\w+)[^\S\n]*(.*)\n?", source):
        return _cell_magic(magic[1], magic[2], source[magic.end() :])
    if source.count("\n") > MOST_TRANSFORMED:
        return source
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        transformed = TransformerManager().transform_cell(source)
    except Exception:  # IPython runs no such cell
        return source
    if "get_ipython()" not in transformed:
        return transformed
    try:
        return ast.unparse(ast.fix_missing_locations(_Plain().visit(ast.parse(transformed))))
    except BROKEN:
        return source


def _cell_magic(name: str, line: str, body: str) -> str:
    """A cell below ``%%name line``."""
    if name in RUNS_ITS_CELL:
        keeps = next((word for word in line.split() if word.isidentifier()), None) if name == "capture" else None
        return (f"{keeps} = {CAPTURED}" if keeps else "None") + "\n" + python(body)
    if name in ("writefile", "file"):
        mode = "a" if line.startswith("-a ") else "w"
        path = line.removeprefix("-a ").strip().strip("'\"")
        return f"open({path!r}, {mode!r}, encoding='utf-8').write({body!r})"
    return "pass"  # another language, or a program of its own: it leaves no name behind


class _Plain(ast.NodeTransformer):
    """Takes the calls of `get_ipython()` away."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        if (code := _timed(node.value)) is not None and (tree := _parsed(code)) is not None:
            return tree.body or ast.Pass()  # ``%time x = f()`` is a statement
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        method = _method(node)
        if method is None:
            return self.generic_visit(node)
        if (code := _timed(node)) is not None and (tree := _parsed(code)) is not None:
            match tree.body:
                case [ast.Expr(value=value)]:
                    return value
        if (code := _file_run(node)) is not None:
            return ast.parse(code, mode="eval").body
        return ast.List([], ast.Load()) if method == "getoutput" else ast.Constant(None)


def _method(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr=method)):
            return method
    return None


def _timed(node: ast.AST) -> str | None:
    """The code in ``%time code``."""
    name, code = _line_magic(node)
    return code if name in RUNS_ITS_LINE else None


def _line_magic(node: ast.AST) -> tuple[str, str]:
    """Name and line of ``%name line``; both empty for anything else."""
    if _method(node) == "run_line_magic":
        match node.args:
            case [ast.Constant(value=str(name)), ast.Constant(value=str(line))]:
                return name, line
    return "", ""


def _file_run(node: ast.AST) -> str | None:
    """What ``%run file.py`` does, by which the notebook gets the file's names; with ``-i`` the file has the notebook's."""
    name, line = _line_magic(node)
    if name != "run":
        return None
    try:
        words = shlex.split(line)
    except ValueError:  # a quotation mark that nothing closes
        return None
    path = next((word for word in words if not word.startswith("-")), "")
    if not path or "-m" in words or path.endswith(".ipynb"):  # a module, or another notebook, was not handed in
        return None
    options = words[: words.index(path)]
    path = path if path.endswith(".py") else f"{path}.py"
    if "-i" in options:
        return f"exec(compile(open({path!r}, encoding='utf-8').read(), {path!r}, 'exec'), globals())"
    return f"globals().update(__import__('runpy').run_path({path!r}, run_name='__main__'))"


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except BROKEN:
        return None


# ------------------------------------------------------------------------------------------------------------- names


class Names(NamedTuple):
    """What the code of a cell does with the notebook's names."""

    bound: frozenset[str] = frozenset()  # given a value, as a function, a class, an import, a variable
    used: frozenset[str] = frozenset()  # looked up, now or when a function of it is called
    touched: frozenset[str] = frozenset()  # changed in place: ``cache.append(…)``, ``config.width = …``
    defined: frozenset[str] = frozenset()  # bound by ``def``, ``class`` or a ``lambda``


def names(code: str) -> Names:
    """By the scopes that Python itself finds: the variable of a comprehension, or a function's own, is no name here."""
    try:
        tree, table = ast.parse(code), _table(code)
    except BROKEN:
        return Names()
    bound, used = set(), set()
    stored = _stored(tree)
    for scope in _scopes(table):
        top = scope is table
        for symbol in scope.get_symbols():
            if (symbol.is_assigned() or symbol.is_imported()) and (
                symbol.is_declared_global() or (top and symbol.get_name() in stored)
            ):
                bound.add(symbol.get_name())
            if symbol.is_referenced() and (top or symbol.is_global()):
                used.add(symbol.get_name())
    touched, defined = set(), set()
    for statement in _running(tree.body):
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                defined.add(statement.name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda()):
                defined.add(name)
            case ast.ImportFrom(names=[ast.alias(name="*")]) | ast.ImportFrom(module="__future__"):
                bound.add("*")  # any cell may need it
            case ast.Expr(value=ast.Call(func=ast.Attribute() as function)):
                touched |= _base(function)
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for node in ast.walk(statement):
                if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
                    touched |= _base(node)
    return Names(*map(frozenset, (bound, used, touched - MODULES, defined)))


def _table(code: str) -> symtable.SymbolTable:
    """The scopes of `code`. From Python 3.12 on a comprehension has none of its own, but a generator still has one."""
    if sys.version_info >= (3, 12):
        with suppress(*BROKEN):  # such as a sum of a thousand terms, which is nested a thousand deep
            code = ast.unparse(_Generators().visit(ast.parse(code)))
    return symtable.symtable(code, "<cell>", "exec")


class _Generators(ast.NodeTransformer):
    """The same names in the same places, with a generator for each comprehension."""

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp) -> ast.GeneratorExp:
        self.generic_visit(node)
        return ast.GeneratorExp(node.elt, node.generators)

    visit_SetComp = visit_ListComp

    def visit_DictComp(self, node: ast.DictComp) -> ast.GeneratorExp:
        self.generic_visit(node)
        return ast.GeneratorExp(ast.Tuple([node.key, node.value], ast.Load()), node.generators)


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _scopes(child)


def _stored(tree: ast.Module) -> set[str]:
    """Names bound outside of comprehensions."""
    found: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:  # no recursion: a sum of a thousand terms is nested a thousand deep
        node = waiting.pop()
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                found.add(name)
            case ast.MatchMapping(rest=str(name)):
                found.add(name)
            case ast.alias():
                found.add((node.asname or node.name).split(".")[0])
        target = node.target if isinstance(node, ast.comprehension) else None
        waiting += [child for child in ast.iter_child_nodes(node) if child is not target]
    return found


def _running(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the cell runs, those inside ``if``, ``with``, ``try`` and loops included."""
    for statement in body:
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for part in ("body", "orelse", "finalbody"):
                yield from _running(getattr(statement, part, []))
            for handler in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
                yield from _running(handler.body)


def _base(node: ast.AST) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return {node.id} if isinstance(node, ast.Name) else set()
