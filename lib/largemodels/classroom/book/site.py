"""Sphinx makes the pages of one edition; all that they ask for lies beside them."""

import hashlib
import importlib.util
import io
import re
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import files
from multiprocessing import get_context
from pathlib import Path

from ...language import speaking
from ...storage import write_whole
from .live import script, style
from .pages import Page, alternative_texts, edition, write_sources

HERE = Path(__file__).parent
NAMES = {"en": "English", "zh": "中文"}
SPHINX = {"en": "en", "zh": "zh_CN"}
TITLES = {"en": "Large Models, Layer by Layer", "zh": "大模型网络结构"}
SIDEBAR = ("brand", "search", "scroll-start", "navigation", "editions", "scroll-end")
NEEDED = ("sphinx", "myst_nb", "furo", "sphinx-mathjax-offline")


class BookError(Exception):
    """The book cannot be made; the message says why."""


def make_book(course: Path, out: Path, chosen: list[str]) -> dict[str, list[Page]]:
    """Make the editions in these languages, each in a folder of `out`; return their pages.

    Raises:
        BookError: packages are missing, or Sphinx found something wrong.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise BookError(f"the book needs {', '.join(missing)}: python course.py book installs them")
    for language in chosen:
        _refuse_to_overwrite(out / language)
    out.mkdir(parents=True, exist_ok=True)
    # Each in a process of its own: Sphinx expects to be run once. Threads would share what it registers.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        making = {code: pool.submit(_make_edition, course, code, chosen, out / code) for code in chosen}
        made = {code: future.result() for code, future in making.items()}
    write_whole(out / "index.html", _entrance(chosen))
    return made


def _make_edition(course: Path, language: str, chosen: list[str], out: Path) -> list[Page]:
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError

    with speaking(language), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources, static, made = folder / "sources", folder / "static", folder / "html"
        pages = edition(course, language)
        write_sources(course, language, pages, sources)
        _write_static(static)
        warnings = io.StringIO()
        settings = _settings(language, chosen, static)
        try:
            app = Sphinx(sources, None, made, folder / "doctrees", "html", settings, status=None, warning=warnings)
            _describe_pictures(app, alternative_texts(pages))
            app.build()
        except SphinxError as error:
            raise BookError(f"{language}: {error}") from error
        if warnings.getvalue():
            raise BookError(f"{language}: {_plain(warnings.getvalue())}")
        if out.exists():
            shutil.rmtree(out)
        shutil.copytree(made, out, ignore=shutil.ignore_patterns(".buildinfo", "objects.inv", "_sources"))
    return pages


def _settings(language: str, chosen: list[str], static: Path) -> dict:
    """What elsewhere stands in a conf.py."""
    others = [(code, NAMES[code]) for code in chosen if code != language]
    return {
        "project": TITLES[language],
        "html_title": TITLES[language],
        "language": SPHINX[language],
        "extensions": ["myst_nb", f"{__package__}.search"],
        "nb_execution_mode": "off",
        "nb_merge_streams": True,
        "myst_enable_extensions": ["dollarmath"],
        "html_theme": "furo",
        "html_theme_options": {"navigation_with_keys": True, "top_of_page_buttons": []},
        "html_sidebars": {"**": [f"sidebar/{part}.html" for part in SIDEBAR]},
        "html_context": {"other_editions": others},
        "html_static_path": [str(static)],
        "html_css_files": ["explorers.css", "book.css"],
        "html_js_files": ["book.js", ("explorers.js", {"defer": "defer"})],
        "html_copy_source": False,
        "html_show_sourcelink": False,
        "html_show_copyright": False,
        "html_use_index": False,
        "html_search_language": "both",
        "templates_path": [str(HERE / "templates")],
        "mathjax_path": "mathjax/tex-chtml-full.js",
        "mathjax3_config": {"options": {"enableMenu": False}},  # which would ask for files that are not there
    }


def _write_static(static: Path) -> None:
    """Styles, scripts, and of MathJax what sets formulas: one script and its fonts, of 24 MB."""
    shutil.copytree(HERE / "static", static)
    (static / "explorers.css").write_text(style(), encoding="utf-8")
    (static / "explorers.js").write_text(script(), encoding="utf-8")
    for file in files("sphinx-mathjax-offline") or ():
        name = file.as_posix().partition("/static/")[2]
        if name == "mathjax/tex-chtml-full.js" or name.startswith("mathjax/output/chtml/fonts/woff-v2/"):
            (static / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), static / name)


def _describe_pictures(app, texts: dict[str, str]) -> None:
    """A notebook keeps what a picture shows in its output's metadata, where nothing on the way to a page looks."""
    from docutils import nodes

    def describe(app, doctree) -> None:
        for picture in doctree.findall(nodes.image):
            file = app.srcdir / picture["uri"]
            if file.is_file():
                picture["alt"] = texts.get(hashlib.sha256(file.read_bytes()).hexdigest(), "")

    app.connect("doctree-read", describe)


def _refuse_to_overwrite(out: Path) -> None:
    if out.exists() and any(out.iterdir()) and not (out / "searchindex.js").exists():
        raise BookError(f"{out} is not empty and holds no book; choose another folder with --out")


def _entrance(chosen: list[str]) -> str:
    """The page at the root: which edition?"""
    links = "".join(
        f'<p lang="{SPHINX[code]}"><a href="{code}/index.html">{TITLES[code]}</a> ({NAMES[code]})</p>'
        for code in chosen
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{TITLES["en"]} · {TITLES["zh"]}</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        "<style>body { font: 1.3em/2 system-ui, sans-serif; margin: 15vh auto; max-width: 24em; }</style></head>"
        f"<body><main>{links}</main></body></html>\n"
    )


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
