"""The catalogues under ``lib/largemodels/locale``: what the course says by itself, and its translations.

``LC_MESSAGES/exercises-1.po`` holds what the exercises of chapter 1 say, collected from their declarations, where nothing
is marked; ``course.po`` what is marked by `say` and `later` in the library, and by ``trans`` in the pages of grading.
People write the translations into these files; ``python -m largemodels release`` adds what is new, drops what is gone
and compiles all of them to the ``largemodels.mo`` that the library reads.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from ...language import DOMAIN
from ..exercise import Exercise

MARKS = ("say", "later")


def catalogue_files(course: Path, exercises: Mapping[str, Exercise]) -> dict[Path, bytes]:
    """What every file of every language should hold."""
    files = {}
    for folder in _folders(course):
        catalogues = dict(_catalogues(exercises, folder))
        files |= {path: as_po(catalogue) for path, catalogue in catalogues.items()}
        files[folder / f"{DOMAIN}.mo"] = _compiled(catalogues.values(), _language(folder))
    return files


def outdated(course: Path, exercises: Mapping[str, Exercise]) -> dict[Path, bytes]:
    """The files that differ from what they should hold, and that."""
    files = catalogue_files(course, exercises).items()
    return {path: content for path, content in files if not path.exists() or path.read_bytes() != content}


def untranslated(course: Path, exercises: Mapping[str, Exercise]) -> list[str]:
    """The messages that are still said in English, each with its file."""
    return [
        f"{path.relative_to(course).as_posix()}: {message.id}"
        for folder in _folders(course)
        for path, catalogue in _catalogues(exercises, folder)
        for message in catalogue
        if message.id and not message.string
    ]


def _folders(course: Path) -> list[Path]:
    return sorted(course.glob("lib/largemodels/locale/*/LC_MESSAGES"))


def _language(folder: Path) -> str:
    return folder.parent.name


def _catalogues(exercises: Mapping[str, Exercise], folder: Path) -> Iterator[tuple[Path, Catalog]]:
    by_chapter: dict[str, list[tuple[str, str]]] = {}
    for exercise in exercises.values():
        said = by_chapter.setdefault(exercise.id.split(".")[0], [])
        said += [(text, f"{exercise.id} {kind}") for kind, text in exercise.says()]
    for chapter, said in by_chapter.items():
        path = folder / f"exercises-{chapter}.po"
        yield path, _catalogue(said, path, _language(folder))
    path = folder / "course.po"
    yield path, _catalogue(marked(folder.parents[2]), path, _language(folder))


def _catalogue(said: Iterable[tuple[str, str]], path: Path, language: str) -> Catalog:
    """A catalogue of these texts, each with where it stands, translated as far as the file at `path` has them."""
    known = read_catalogue(path, language) if path.exists() else Catalog(locale=language)
    catalogue = Catalog(locale=language)
    for text, place in said:
        old = known.get(text)
        message = catalogue.add(text, old.string if old else "", auto_comments=[place])
        message.flags.discard("python-format")  # "15 % of" is none
    return catalogue


def marked(library: Path) -> Iterator[tuple[str, str]]:
    """Every text that is marked in the library and in the pages of grading, each with its file."""
    script = library.parents[1] / "course.py"
    for path in [script, *sorted(library.rglob("*.py"))]:
        for text in marked_in(path.read_text(encoding="utf-8")):
            yield text, path.name if path == script else path.relative_to(library).as_posix()
    for path in sorted(library.rglob("templates/*.html")):
        with path.open("rb") as file:
            for _, text, _, _ in extract(
                "jinja2.ext:babel_extract", file, {"_": None, "gettext": None, "ngettext": (1, 2)}
            ):
                yield from ((one, path.relative_to(library).as_posix()) for one in _singular_and_plural(text))


def marked_in(code: str) -> list[str]:
    """The texts that `say` and `later` are given in some Python, in their order.

    By the syntax tree: gettext's usual extractors read tokens, of which a whole f-string is one before Python 3.12.
    """
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and node.args]
    calls = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in MARKS]
    calls.sort(key=lambda call: (call.lineno, call.col_offset))
    firsts = [call.args[0] for call in calls]
    return [one.value for one in firsts if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def _singular_and_plural(text: str | tuple) -> tuple[str, ...]:
    """Chinese has one form for both; each is a message of its own, so that `gettext` alone is needed."""
    return (text,) if isinstance(text, str) else tuple(one for one in text if isinstance(one, str))


def read_catalogue(path: Path, language: str) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=language)


def as_po(catalogue: Catalog) -> bytes:
    """The text of a catalogue, without dates: equal catalogues are equal files."""
    buffer = BytesIO()
    write_po(buffer, catalogue, width=0, omit_header=True)
    header = f'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"Language: {catalogue.locale}\\n"\n\n'
    return header.encode() + buffer.getvalue()


class _Undated(Catalog):
    """Says of itself what gettext needs, and nothing that changes from day to day."""

    mime_headers = (("Content-Type", "text/plain; charset=utf-8"), ("Plural-Forms", "nplurals=1; plural=0;"))


def _compiled(catalogues: Iterable[Catalog], language: str) -> bytes:
    together = _Undated(locale=language)
    for catalogue in catalogues:
        for message in catalogue:
            if message.id and message.string:
                together.add(message.id, message.string)
    buffer = BytesIO()
    write_mo(buffer, together)
    return buffer.getvalue()
