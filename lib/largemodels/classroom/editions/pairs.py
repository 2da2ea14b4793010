"""Whether a translated text source says the same as its English one, cell by cell.

Equal are the order of the cells, their kinds and tags, the code but for comments and what is shown to people, and in
the prose formulas, code, numbers, links and placeholders.
"""

import ast
import difflib
import io
import re
import tokenize
from collections import Counter
from pathlib import Path

from nbformat import NotebookNode

from .typography import HAN, faults, left_in_english

CHINESE = re.compile(f"[{HAN}，。；：？！、（）“”]")
SPEAKS = re.compile(r"^(from largemodels\.language import use_language|use_language\(\"zh\"\))\n*", re.MULTILINE)
DEEPER = re.compile(r"^(?:\.\./)+|^(?=checkpoints)")
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PLACEHOLDER = re.compile(r"<!--.*?-->")
UNITS = {
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "trillion": 1e12,
    "M": 1e6,
    "B": 1e9,
    "千": 1e3,
    "万": 1e4,
    "亿": 1e8,
    "万亿": 1e12,
}
NUMBER = re.compile(
    rf"(?<![\w.,])(\d[\d,]*(?:\.\d+)?)(?:\s?({'|'.join(sorted(UNITS, key=len, reverse=True))})(?![A-Za-z]))?"
)
HEADING = re.compile(r"^(#+) +(\d+(?:\.\d+)*|[A-Z]\.\d+|[A-Z](?= ·))?", re.MULTILINE)


def cells_of(source: Path) -> list[NotebookNode]:
    """The cells of a text source."""
    from jupytext.myst import myst_to_notebook

    return myst_to_notebook(source.read_text(encoding="utf-8")).cells


def differences(english: Path, translated: Path) -> list[str]:
    """What is not the same in two text sources, in words."""
    ours, theirs = cells_of(english), cells_of(translated)
    shapes = [[(cell.cell_type, *cell.metadata.get("tags", [])) for cell in cells] for cells in (ours, theirs)]
    if shapes[0] != shapes[1]:
        place = next(
            (i for i, (one, two) in enumerate(zip(*shapes, strict=False)) if one != two), min(map(len, shapes))
        )
        near = theirs[min(place, len(theirs) - 1)].source[:60]
        return [
            f"{translated.name}: {len(ours)} cells in English, {len(theirs)} here; they part at cell {place}, near {near!r}"
        ]
    found = []
    for number, (one, two) in enumerate(zip(ours, theirs, strict=True)):
        compare = code_differences if one.cell_type == "code" else prose_differences
        start = two.source.strip().split("\n")[0][:40]
        found += [f"{translated.name}, cell {number} ({start!r}): {text}" for text in compare(one.source, two.source)]
    return found


# ---------------------------------------------------------------------------------------------------------------- code


def code_differences(english: str, translated: str) -> list[str]:
    """Two cells of code are one program but for comments and for the texts that are written in Chinese."""
    try:
        trees = [ast.parse(english), ast.parse(SPEAKS.sub("", translated))]
    except SyntaxError as error:
        return [f"not Python: {error}"]
    given = set(_shown(english))  # Chinese that a model reads
    found = [fault for text in _shown(translated) if text not in given for fault in faults(text)]
    if english.count("### BEGIN") != translated.count("### BEGIN"):
        found.append("another number of solution markers")
    (ours, words), (theirs, others) = map(_outline, trees)
    if ours != theirs:
        changed = [line for line in difflib.ndiff(ours, theirs) if line[0] in "+-"]
        found.append("other code:\n    " + "\n    ".join(changed[:6]))
    else:
        pairs = zip(words, others, strict=True)
        changed = [(one, two) for one, two in pairs if one != two and not CHINESE.search(two)]
        found += [f"another text, and not in Chinese: {one!r}, {two!r}" for one, two in changed]
    return found


def _outline(tree: ast.Module) -> tuple[list[str], list[str]]:
    """The statements with all texts left blank, and the texts."""
    words = []

    class Blank(ast.NodeTransformer):
        def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Constant:
            words.append("".join(part.value for part in node.values if isinstance(part, ast.Constant)))
            values = [value for value in node.values if isinstance(value, ast.FormattedValue)]
            holes = (
                f"{ast.unparse(self.visit(value.value))}!{value.conversion}:{_precision(value)}" for value in values
            )
            return ast.Constant(value=f"text {sorted(holes)}")  # word order is the language's own

        def visit_Constant(self, node: ast.Constant) -> ast.Constant:
            if not isinstance(node.value, str):
                return node
            words.append(DEEPER.sub("", node.value))
            return ast.Constant(value="text")

    return ast.unparse(ast.fix_missing_locations(Blank().visit(tree))).splitlines(), words


def _precision(value: ast.FormattedValue) -> str:
    """A format without its width and its alignment, which Chinese, twice as wide, may need otherwise."""
    spec = ast.unparse(value.format_spec).removeprefix("f")[1:-1] if value.format_spec else ""
    return re.sub(r"[<>^]|(?<![.\d])\d+(?=[.,a-z%'\"]|$)", "", spec)


def _shown(code: str) -> list[str]:
    """Comments and strings that hold Chinese."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    comments = (token.string for token in tokens if token.type == tokenize.COMMENT)
    found = [comment.lstrip("# ") for comment in comments if CHINESE.search(comment)]
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(part.value if isinstance(part, ast.Constant) else "\u2060" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(CHINESE.findall(node.value)) > 6:
            found.append(node.value)
    return [text for text in found if CHINESE.search(text)]


# --------------------------------------------------------------------------------------------------------------- prose


def prose_differences(english: str, translated: str) -> list[str]:
    """Two cells of Markdown hold the same formulas, code, numbers, links and headings."""
    found = faults(translated) + [f"left in English: {text!r}" for text in left_in_english(translated)]
    kinds = {
        "formulas": _formulas,
        "code": lambda text: CODE.findall(FORMULA.sub("", text)),
        "links": lambda text: [_target(link) for link in LINK.findall(text)],
        "placeholders": PLACEHOLDER.findall,
        "headings": HEADING.findall,
        "folds": re.compile(r"</?(?:details|summary)").findall,
        "numbers": _numbers,
    }
    for name, take in kinds.items():
        ours, theirs = Counter(take(english)), Counter(take(translated))
        if ours != theirs:
            lost, new = [*(ours - theirs).elements()], [*(theirs - ours).elements()]
            found.append(f"other {name}: missing {lost}, new {new}")
    return found


def _target(link: str) -> str:
    """A link of either edition, as seen from the course's folder."""
    return re.sub(r"^(?:\.\./)+", "", link.partition("#")[0]).replace("/zh/", "/").replace(".zh.", ".")


def _formulas(text: str) -> list[str]:
    return [re.sub(r"\\text\w*\{[^}]*\}|\s", "", formula) for formula in FORMULA.findall(CODE.sub("", text))]


def _numbers(text: str) -> list[str]:
    text = PLACEHOLDER.sub("", LINK.sub("]", CODE.sub("", FORMULA.sub("", text))))
    return [
        f"{float(number.rstrip(',.').replace(',', '')) * UNITS.get(unit, 1):g}" for number, unit in NUMBER.findall(text)
    ]
