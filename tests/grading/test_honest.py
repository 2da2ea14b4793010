"""Honest notebooks, written as people write them: the grade is what their checks show.

Each is the solved notebook of chapter 1, or another, with something that people do. All are graded as one class; then
each is run by IPython, and its checks must show what the grader gave.
"""

import copy
import sys
from pathlib import Path

import pytest

from largemodels.classroom import exercises
from largemodels.classroom.grading.command import grade_class
from largemodels.classroom.grading.sandbox import Limits

sys.path.insert(0, str(Path(__file__).parent))
from classes import RIGHT, answer_cell, hand_in, notebook, solved
from really_run import shown, source

pytestmark = pytest.mark.slow
LEFT_OUT = ("1.1", "1.3", "1.4", "1.7")
BODY = RIGHT.strip()
HELPED = """def scores(q, k):
    return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])

def attention(query, key, value, mask=None):
    s = scores(query, key)
    if mask is not None:
        s = s.masked_fill(~mask, -math.inf)
    w = s.softmax(-1)
    return w @ value, w
"""


def code(text: str) -> dict:
    return {"cell_type": "code", "metadata": {}, "source": text, "outputs": [], "execution_count": None}


def check_cell(made: dict, id: str) -> dict:
    grade_id = f"check-{id.replace('.', '-')}"
    return next(c for c in made["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)


def position(made: dict, id: str, part: str = "answer") -> int:
    return made["cells"].index(answer_cell(made, id) if part == "answer" else check_cell(made, id))


def answered(text: str) -> dict:
    """1.2 answered so."""
    return solved(e1_2=text)


def with_cells(*texts: str, after: str = "check", made: dict | None = None) -> dict:
    """Cells of one's own, below the check of 1.2 or below its answer."""
    made = made or answered(BODY)
    at = position(made, "1.2", after) + 1
    made["cells"][at:at] = map(code, texts)
    return made


def before(text: str, answer: str = BODY) -> dict:
    """A cell above the answer to 1.2."""
    made = answered(answer)
    made["cells"].insert(position(made, "1.2"), code(text))
    return made


def at_the_top(text: str, answer: str = BODY) -> dict:
    made = answered(answer)
    made["cells"].insert(0, code(text))
    return made


def at_the_end(*texts: str, made: dict | None = None) -> dict:
    made = made or answered(BODY)
    made["cells"] += map(code, texts)
    return made


def checked_by(text: str) -> dict:
    """The check of 1.2 written so."""
    made = answered(BODY)
    check_cell(made, "1.2")["source"] = text
    return made


def changed(made: dict, id: str, change) -> dict:
    cell = answer_cell(made, id)
    cell["source"] = change(source(cell))
    return made


def prompts(text: str) -> str:
    return "\n".join((">>> " if i == 0 else "... ") + line for i, line in enumerate(text.splitlines()))


def indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


def merged(made: dict, id: str = "1.2", *, into_check: bool = False) -> dict:
    answer, check = answer_cell(made, id), check_cell(made, id)
    kept, gone = (check, answer) if into_check else (answer, check)
    kept["source"] = f"{source(answer)}\n\n{source(check)}"
    made["cells"].remove(gone)
    return made


def all_merged(*, keep_metadata: bool = True) -> dict:
    """The whole notebook in one cell."""
    made = answered(BODY)
    text = "\n\n".join(source(c) for c in made["cells"] if c["cell_type"] == "code")
    made["cells"] = [code(text)] if not keep_metadata else [{**answer_cell(made, "1.2"), "source": text}]
    return made


def renamed_scores() -> dict:
    made = answered(HELPED)
    return changed(made, "1.8", lambda s: "def scores(q, k, width):\n    return q @ k.mT / math.sqrt(width)\n\n" + s)


def without_metadata(made: dict) -> dict:
    for cell in made["cells"]:
        cell["metadata"] = {}
        cell["id"] = "x"
    return made


def one_by_one(text: str) -> dict:
    """The lines of an answer that starts several definitions, in cells of their own."""
    made = answered("pass")
    parts = text.split("\n\n")
    at = position(made, "1.2")
    made["cells"][at : at + 1] = map(code, parts)
    return made


def moved_to_the_end(*parts: str) -> dict:
    made = answered(BODY)
    for part in parts:
        cell = answer_cell(made, "1.2") if part == "answer" else check_cell(made, "1.2")
        made["cells"].remove(cell)
        made["cells"].append(cell)
    return made


def two_chapters() -> dict:
    made = answered(BODY)
    made["cells"] += solved("02-masking")["cells"]
    return made


def copied_answer() -> dict:
    made = answered(BODY)
    made["cells"].insert(position(made, "1.9"), copy.deepcopy(answer_cell(made, "1.2")))
    return made


def checks_at_the_end(*, and_below: bool) -> dict:
    """All checks gathered at the end of the notebook, or copied there."""
    made = answered(BODY)
    checks = [c for c in made["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id", "").startswith("check")]
    if not and_below:
        made["cells"] = [c for c in made["cells"] if c not in checks]
    made["cells"] += copy.deepcopy(checks)
    return made


def without_check(text: str = BODY, *below: str) -> dict:
    made = answered(text)
    made["cells"].remove(check_cell(made, "1.2"))
    at = position(made, "1.2") + 1
    made["cells"][at:at] = map(code, below)
    return made


def stub_of_another() -> dict:
    """4.9 untouched: its stub says ``attention = None``, which is a name that 4.5 may use for its helper."""
    made = solved("04-encoder-decoder")
    released = answer_cell(notebook("04-encoder-decoder", "exercises"), "4.9")
    answer_cell(made, "4.9")["source"] = source(released)
    return made


CLASSES = """class Scaled:
    def __init__(self, width):
        self.root = math.sqrt(width)

    def __call__(self, q, k):
        return q @ k.mT / self.root"""

CLASS_ANSWER = """def attention(query, key, value, mask=None):
    s = Scaled(query.shape[-1])(query, key)
    if mask is not None:
        s = s.masked_fill(~mask, -math.inf)
    return s.softmax(-1) @ value, s.softmax(-1)"""

TRY = "q = torch.randn(1, 3, 4)\noutput, attention = attention(q, q, q)\nattention.sum(-1)"

HONEST = {
    "a helper's name used again, with another signature": renamed_scores,
    "a try-out cell overwrites the answer": lambda: with_cells(TRY),
    "a try-out cell overwrites it, and there is no check": lambda: without_check(BODY, TRY),
    "another attention inside the cell of 1.6": lambda: changed(
        answered(BODY), "1.6", lambda s: "def attention(q, k, v, mask, dropout):\n    return None\n\n" + s
    ),
    "d is 2 here and 512 there": lambda: changed(
        answered("d = 2\n" + BODY.replace("math.sqrt(query.shape[-1])", "query.shape[-1] ** (1 / d)")),
        "1.9",
        lambda s: "d = 512\n" + s,
    ),
    "the variable of a comprehension": lambda: at_the_end(
        "[math for math in range(3)]", "[attention for attention in 'abc']", "{torch: 1 for torch in 'ab'}"
    ),
    "the variable of a loop": lambda: with_cells("for attention in range(3):\n    print(attention)"),
    "an indented cell": lambda: answered(indented(BODY)),
    "prompts": lambda: answered(prompts(BODY)),
    "prompts of IPython": lambda: answered("In [7]: " + BODY.replace("\n", "\n   ...: ")),
    "files = !ls": lambda: answered("files = !ls\n" + BODY),
    "!pip install": lambda: answered("!pip install einops\n" + BODY),
    "%matplotlib inline": lambda: at_the_top("%matplotlib inline\n%load_ext autoreload\n%autoreload 2\nimport math"),
    "%%time": lambda: answered("%%time\n" + BODY),
    "%%capture": lambda: answered("%%capture out\n" + BODY),
    "x = %time f()": lambda: with_cells(
        "q = torch.ones(1, 2, 3)\nr = %time attention(q, q, q)\n%timeit -n 2 -r 1 attention(q, q, q)\nr[0].sum()"
    ),
    "a value by %time": lambda: before(
        "root = %time math.sqrt(4)", BODY.replace("math.sqrt(query.shape[-1])", "(root * query.shape[-1] ** 0.5 / 2)")
    ),
    "%%bash and %%html": lambda: with_cells("%%bash\nls", "%%html\n<b>hello</b>", "%%javascript\nalert(1)"),
    "help?": lambda: with_cells("attention?", "?attention", "attention??", "torch.nn?"),
    "%%writefile, then an import": lambda: before(
        "%%writefile my_helper_for_this.py\nimport math\ndef root(n):\n    return math.sqrt(n)",
        "from my_helper_for_this import root\n" + BODY.replace("math.sqrt", "root"),
    ),
    "await outside of a function": lambda: before(
        "import asyncio\nasync def give(x):\n    await asyncio.sleep(0.01)\n    return x\nroot = await give(math.sqrt)",
        BODY.replace("math.sqrt", "root"),
    ),
    "%run of a file that a cell wrote": lambda: before(
        "%%writefile helper_to_run.py\nimport math\ndef root(n):\n    return math.sqrt(n)",
        "%run helper_to_run.py\n" + BODY.replace("math.sqrt", "root"),
    ),
    "%run -i, the file uses the notebook's names": lambda: before(
        "%%writefile helper_to_run_here.py\nroot = math.sqrt",
        "%run -i helper_to_run_here\n" + BODY.replace("math.sqrt", "root"),
    ),
    "what the cell above showed, by its name _": lambda: before(BODY + "\nattention", "attention = _"),
    "what the cell before that showed, and a variable _": lambda: before(
        BODY + "\nattention", "attention;\n_, attention = _, lambda: 0\n2\nattention = _"
    ),
    "what %%capture caught": lambda: before(
        "%%capture --no-stderr caught\nprint('hello')", "caught.show()\nprint(caught.stdout, caught.outputs)\n" + BODY
    ),
    "annotations from the future, for all cells below": lambda: at_the_top(
        "from __future__ import annotations",
        BODY.replace("query, key, value, mask=None", "query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None"),
    ),
    "a display that is updated": lambda: answered(
        "from IPython.display import display\nshown = display('0 %', display_id=True)\nshown.update('100 %')\n" + BODY
    ),
    "IPython asked for its shell, and a figure": lambda: answered(
        "from IPython import get_ipython\nget_ipython().run_line_magic('precision', '3')\n"
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n" + BODY
    ),
    "a notebook told from a script": lambda: answered(
        "if 'InteractiveShell' in type(get_ipython()).__name__:\n" + indented(BODY)
    ),
    "display": lambda: with_cells("display(attention)\nfrom IPython.display import display, HTML\ndisplay(HTML('x'))"),
    "input": lambda: with_cells("name = input('Your name? ')\nprint('hello', name)"),
    "answer typed above the check": lambda: merged(answered(BODY)),
    "answer typed into the check": lambda: merged(answered(BODY), into_check=True),
    "answer in the check, the stub left": lambda: checked_by(BODY + "\ncheck(attention, '1.2')"),
    "one cell for everything": all_merged,
    "one cell for everything, no metadata": lambda: all_merged(keep_metadata=False),
    "metadata and ids lost": lambda: without_metadata(answered(BODY)),
    "split into a cell for each definition": lambda: one_by_one(HELPED),
    "a helper below the answer": lambda: with_cells(
        "def root(n):\n    return n ** 0.5", after="answer", made=answered(BODY.replace("math.sqrt", "root"))
    ),
    "answer and check moved to the end": lambda: moved_to_the_end("answer", "check"),
    "the check alone moved to the end": lambda: moved_to_the_end("check"),
    "checks gathered at the end": lambda: checks_at_the_end(and_below=False),
    "checks copied to the end": lambda: checks_at_the_end(and_below=True),
    "checks copied, then the name is used again": lambda: at_the_end(TRY, "check(attention, '1.2')"),
    "the answer copied below": copied_answer,
    "the check deleted": without_check,
    "check by another name": lambda: checked_by(
        "from largemodels.classroom import check as c\nimport largemodels.classroom as lc\n"
        "c(attention)\nlc.check(attention, exercise='1.2')"
    ),
    "check in a loop": lambda: checked_by("for e, a in {'1.2': attention}.items():\n    check(a, e)"),
    "check with what it returns": lambda: checked_by(
        "r = check(attention, '1.2')\nassert r.passed and r.points == 5, r.message\nprint(r)\ndisplay(r)\nr"
    ),
    "check of a copy by another name": lambda: checked_by("mine = attention\ncheck(mine, '1.2')"),
    "check in a function": lambda: checked_by("def ask():\n    return check(attention, '1.2')\nask()"),
    "check of everything at once": lambda: at_the_end(
        "from largemodels.classroom import exercises\n"
        "for e in exercises.values():\n    if e.id.startswith('1.'):\n        check(globals()[e.name], e.id)"
    ),
    "classes across cells": lambda: one_by_one(CLASSES.replace("\n\n", "\n") + "\n\n" + CLASS_ANSWER),
    "a class changed below the check": lambda: with_cells(
        "class Scaled:\n    pass", made=answered(CLASSES + "\n\n" + CLASS_ANSWER)
    ),
    "global": lambda: before(
        "def set_root():\n    global root\n    root = math.sqrt\nset_root()", BODY.replace("math.sqrt", "root")
    ),
    "a decorator": lambda: before(
        "import functools\ndef quiet(f):\n    @functools.wraps(f)\n    def g(*a, **k):\n        return f(*a, **k)\n    return g",
        "@quiet\n" + BODY,
    ),
    "decorated afterwards": lambda: with_cells("import functools\nattention = functools.wraps(attention)(lambda *a, _f=attention: _f(*a))", after="answer"),
    "star arguments": lambda: answered(BODY.replace("query, key, value, mask=None", "*qkv").replace("scores = ", "query, key, value, mask = [*qkv, None][:4]\n    scores = ", 1)),
    "functools.partial": lambda: answered(
        BODY.replace("def attention(", "def general(root, ").replace("math.sqrt", "root") + "\nimport functools\nattention = functools.partial(general, math.sqrt)"
    ),
    "a lambda": lambda: answered(
        "softmax = lambda q, k, m: (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~m if m is not None else torch.tensor(False), -math.inf).softmax(-1)\n"
        "attention = lambda q, k, v, m=None: (softmax(q, k, m) @ v, softmax(q, k, m))"
    ),
    "defined in if, try, for and with": lambda: answered(
        "import contextlib\nif True:\n    try:\n        for _ in range(1):\n            with contextlib.nullcontext():\n" + indented(indented(indented(indented(BODY)))) + "\n    finally:\n        pass"
    ),
    "imports in other cells": lambda: before("from math import sqrt as wurzel", BODY.replace("math.sqrt", "wurzel")),
    "from math import *": lambda: before("from math import *", BODY.replace("math.sqrt", "sqrt").replace("math.inf", "inf")),
    "a name deleted below": lambda: with_cells("del attention"),
    "everything deleted below": lambda: with_cells("del attention, math, torch", "import math, torch"),
    "another definition below": lambda: with_cells("def attention(q):\n    return q"),
    "a helper patched below": lambda: with_cells("import math\nold = math.sqrt\nmath.sqrt = lambda x: 1.0", "math.sqrt = old"),
    "a figure": lambda: with_cells("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.title('x')\nplt.show()"),
    "a progress bar": lambda: with_cells("from tqdm.auto import tqdm\nfor _ in tqdm(range(3)):\n    pass"),
    "a widget": lambda: with_cells("import ipywidgets\nipywidgets.interact(lambda x: x, x=(0, 3))"),
    "unicode names": lambda: before("def wurzel_ß(ö):\n    return ö ** 0.5\nπ = 3", BODY.replace("math.sqrt", "wurzel_ß").replace("scores", "分数")),
    "a cell that fails": lambda: before("1 / 0"),
    "a cell that is no Python": lambda: before("def broken(:\n"),
    "a cell that fails in its last line": lambda: answered(BODY + "\nattention()"),
    "sys.exit()": lambda: before("import sys\nsys.exit()"),
    "random numbers drawn": lambda: before("torch.manual_seed(5)\nx = torch.randn(3)"),
    "warnings and logging": lambda: before("import warnings, logging\nwarnings.filterwarnings('error')\nlogging.basicConfig(level='DEBUG')"),
    "autograd switched off": lambda: before("torch.set_grad_enabled(False)"),
    "a dataclass and types": lambda: before("from dataclasses import dataclass\nfrom typing import Any\n@dataclass\nclass C:\n    root: Any = math.sqrt", BODY.replace("math.sqrt", "C().root")),
    "a cache": lambda: answered("import functools\n@functools.lru_cache\ndef root(n):\n    return math.sqrt(n)\n\n" + BODY.replace("math.sqrt", "root")),
    "a doctest": lambda: answered(BODY.replace("):\n", '):\n    """\n    >>> 1 + 1\n    2\n    """\n', 1)),
    "a long pause": lambda: before("import time\ntime.sleep(1)"),
    "two chapters": two_chapters,
    "a stub called attention": stub_of_another,
    "the project's cell": lambda: solved("08-in-context-learning"),
}  # fmt: skip


def without(ids: tuple[str, ...], made: dict) -> dict:
    """The notebook without the cells of some exercises, which saves time."""
    of = {f"{part}-{id.replace('.', '-')}" for id in ids for part in ("answer", "check")}
    kept = [c for c in made["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") not in of]
    return {**made, "cells": kept}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Each notebook, and the verdicts on it."""
    folder, out = tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("out")
    made = {name: without(LEFT_OUT, make()) for name, make in HONEST.items()}
    for number, name in enumerate(made):
        hand_in(folder, f"{number:03}", made[name])
    chosen = {id: exercise for id, exercise in exercises.items() if id not in LEFT_OUT}
    students = grade_class(folder, out, chosen, limits=Limits(), workers=1)
    return {name: (made[name], student.verdicts) for name, student in zip(made, students, strict=True)}


@pytest.mark.parametrize("name", HONEST)
def test_the_grade_is_what_the_checks_show(graded, name, tmp_path, monkeypatch):
    made, verdicts = graded[name]
    monkeypatch.chdir(tmp_path)
    if name == "the project's cell":  # it takes a minute; that all answers are right, other tests show
        made = {**made, "cells": made["cells"][:-1]}
    seen = shown(made)
    for id, points in ((id, points) for id, points in seen.items() if id not in LEFT_OUT):
        assert verdicts[id].points == points, (id, verdicts[id])
    for id, verdict in verdicts.items():
        if id != "4.9":
            assert verdict.points == exercises[id].points, (id, verdict)
