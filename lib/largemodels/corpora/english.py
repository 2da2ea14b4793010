"""Real English: the reference text and the docstrings that every Python carries.

About 1.5 MB of prose by many hands, on many subjects, and no download. The language reference is `pydoc_data.topics`;
the docstrings are read from the source files of the standard library, none of which is imported. What is no prose
(examples, tables, grammar, lists of arguments) is left out, and so is every paragraph that has appeared before. Another
version of Python has other texts, but on one machine they are always the same, and in the same order. Reading them takes
some seconds, so they are kept on disk, see `cache`.

Documents are held out for testing by their titles. Different documents can say the same ("Return True if the queue is
empty."), so every sentence that a training document contains, too, is taken out of the held-out ones.

    >>> [document.title for document in documents() if document.part == "text"][:2]
    ['_strptime', '_strptime.LocaleTime']
"""

import ast
import hashlib
import importlib
import itertools
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from inspect import cleandoc
from pathlib import Path

from largemodels.lines import split_lines
from largemodels.storage import cached

# The parts of the library, and of some its modules. What Python no longer has, or not yet, is skipped.
PARTS = {
    "language": "__future__ abc ast code codeop compileall copy dataclasses dis enum importlib inspect keyword "
    "modulefinder opcode pickletools pkgutil runpy site symtable token tokenize types typing warnings weakref zipimport",
    "data": "_collections_abc bisect collections contextlib copyreg functools graphlib heapq operator pickle "
    "pprint queue reprlib shelve",
    "numbers": "_pydecimal calendar colorsys datetime fractions numbers random sched secrets statistics timeit zoneinfo",
    "text": "_strptime argparse cmd codecs configparser csv difflib getopt gettext json locale optparse re shlex string "
    "stringprep textwrap tomllib plistlib",
    "files": "_compression _pyio bz2 dbm filecmp fileinput fnmatch genericpath glob gzip linecache lzma ntpath os pathlib "
    "posixpath shutil sqlite3 stat tarfile tempfile zipapp zipfile",
    "processes": "asyncio concurrent contextvars multiprocessing selectors signal subprocess threading",
    "mail": "email imaplib mailbox mimetypes poplib quopri smtplib",
    "web": "base64 ftplib html http ipaddress netrc socket socketserver ssl urllib uuid webbrowser wsgiref xml xmlrpc",
    "windows": "curses tkinter turtle",
    "testing": "bdb doctest logging pdb profile pstats pyclbr pydoc trace traceback tracemalloc unittest",
    "installing": "distutils ensurepip platform sysconfig venv",
}


@dataclass(frozen=True)
class Document:
    """One docstring or one section of the reference.

    Attributes:
        title: where it comes from: a dotted name such as "textwrap.wrap", or a topic.
        text: paragraphs of prose, one in a line.
        part: which part of the library it describes, a key of `PARTS`; of a file of your own: its name.
    """

    title: str
    text: str
    part: str

    @property
    def split(self) -> str:
        """ "test" for one document in ten, chosen by its title, so that it is the same ones everywhere."""
        digest = hashlib.sha256(self.title.encode("utf-8")).digest()
        return "test" if digest[0] % 10 == 0 else "train"


def documents(split: str | None = None, path: str | Path | None = None) -> list[Document]:
    """All documents, or those of one split.

    Args:
        split: "train" or "test"; a document is in one of them.
        path: a text file of your own to use instead (UTF-8, a blank line between paragraphs).

    Raises:
        FileNotFoundError: no such file; or a Python that came without its sources.
        ValueError: another split; a file that is not UTF-8, or empty.
    """
    if split not in (None, "train", "test"):
        raise ValueError(f'split must be "train", "test", or None for all, got {split!r}')
    found = _python() if path is None else _fit_to_test(_own(Path(path)))
    return [document for document in found if split in (None, document.split)]


def sentences(text: str) -> list[str]:
    """The sentences of a text: a sentence ends with a full stop, a question or an exclamation mark, before a capital.

    That is a rule of thumb: "e.g. Unix" would be cut in two.
    """
    return [sentence for line in split_lines(text) for sentence in re.split(r"(?<=[.?!])\s+(?=[\"'(]*[A-Z])", line)]


def without_seen_sentences(found: list[Document]) -> list[Document]:
    """The same documents, the held-out ones without the sentences that some training document contains, too.

    Two sentences count as the same if they consist of the same words, whatever their case and punctuation. A document
    of which nothing is left is dropped. The training documents stay as they are.
    """
    seen = {_words(s) for document in found if document.split == "train" for s in sentences(document.text)}
    kept = []
    for document in found:
        if document.split == "test":
            lines = [[s for s in sentences(line) if _words(s) not in seen] for line in document.text.splitlines()]
            document = replace(document, text="\n".join(" ".join(line) for line in lines if line))
        if document.text:
            kept.append(document)
    return kept


def _fit_to_test(found: Iterable[Document]) -> list[Document]:
    """Nothing twice, and nothing held out that stands in a training document."""
    # The second time, for paragraphs that have become equal by losing sentences.
    return list(_distinct(without_seen_sentences(list(_distinct(found)))))


def _words(sentence: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", sentence.casefold()))


def _distinct(found: Iterable[Document]) -> Iterator[Document]:
    """Without the paragraphs that some document before had, too, and without documents that have none of their own."""
    seen = set()
    for document in found:
        own = [paragraph for paragraph in split_lines(document.text) if paragraph not in seen]
        seen.update(own)
        if own:
            yield Document(document.title, "\n".join(dict.fromkeys(own)), document.part)


# ----------------------------------------------------------------------------------------------------- Python's own


def _python() -> list[Document]:
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:  # some distributions leave it out
        topics = {}
    sources = [(part, name, file.read_bytes()) for part, name, file in _files()]

    def make() -> list[tuple[str, str, str]]:
        found = _fit_to_test(itertools.chain(_reference(topics), _library(sources)))
        return [(document.title, document.text, document.part) for document in found]

    made_from = [repr(topics).encode(), Path(__file__).read_bytes()]
    for part, name, content in sources:
        made_from += [part.encode(), name.encode(), content]
    return [Document(*fields) for fields in cached("english", made_from, make)]


def _files() -> Iterator[tuple[str, str, Path]]:
    """The source files of the library, each with its part and its dotted name."""
    root = Path(sysconfig.get_path("stdlib"))
    if not (root / "os.py").exists():
        raise FileNotFoundError(
            f"this Python came without the sources of its library (no os.py in {root}); "
            'use a text file of your own: documents(path="book.txt")'
        )
    for part, modules in PARTS.items():
        for module in modules.split():
            for file in [root / f"{module}.py", *sorted((root / module).rglob("*.py"), key=Path.as_posix)]:
                names = file.relative_to(root).with_suffix("").parts
                if file.exists() and not {"test", "tests"} & {*names}:
                    yield part, ".".join(names).removesuffix(".__init__"), file


def _library(sources: Iterable[tuple[str, str, bytes]]) -> Iterator[Document]:
    """The docstrings of source files: part, dotted name and content of each."""
    for part, name, content in sources:
        for title, docstring in _docstrings(content, name):
            if text := _prose(cleandoc(docstring)):
                yield Document(title, text, part)


def _reference(topics: dict[str, str]) -> Iterator[Document]:
    """The language reference, one document for each section."""
    for topic, text in topics.items():
        # a heading is underlined
        heading, *rest = re.split(r"^(\S.*)\n[=*~^\-]{3,}\n", text, flags=re.MULTILINE)
        sections = [("", heading), *zip(rest[::2], rest[1::2], strict=True)]
        for title, section in sections:
            if prose := _prose(section):
                yield Document(f"{topic}: {title}" if title else topic, prose, "language")


def _docstrings(source: bytes, name: str) -> Iterator[tuple[str, str]]:
    """The docstrings of a source file in the order they stand in, each with its dotted name."""

    def visit(
        node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str
    ) -> Iterator[tuple[str, str]]:
        if docstring := ast.get_docstring(node, clean=False):
            yield name, docstring
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield from visit(child, f"{name}.{child.name}")

    yield from visit(ast.parse(source), name)


def _prose(text: str) -> str:
    """The paragraphs that are prose, one in a line."""
    paragraphs = (" ".join(block.split()) for block in re.split(r"\n\s*\n", text))
    return "\n".join(paragraph for paragraph in map(_unmark, paragraphs) if _is_prose(paragraph))


def _unmark(paragraph: str) -> str:
    """Without bullets, and without the marks that Sphinx turns into links and italics."""
    paragraph = re.sub(r"^([*-]|\d+\.|\(\w\)) ", "", paragraph)
    paragraph = re.sub(r":[\w:]+:`([^`]*)`|`+([^`]*)`+_?", r"\1\2", paragraph)
    return re.sub(r"(?<![\w*])\*{1,2}(\w[\w ]*)\*{1,2}(?![\w*])", r"\1", paragraph)


def _is_prose(paragraph: str) -> bool:
    """Begins like a sentence, ends with no comma, and consists of words; no example and no definition among them."""
    if not re.match(r"[\"'(]?[A-Z].*[\w.?!:)\"']$", paragraph) or len(paragraph.split()) < 4:
        return False
    letters = len(re.sub(r"[^A-Za-z ]+", "", paragraph))
    return letters >= 0.8 * len(paragraph) and not re.search(r">>>|::=|<-|---|->| [=+|] |@\w+[:.]", paragraph)


# ------------------------------------------------------------------------------------------------------- your own


def _own(file: Path) -> Iterator[Document]:
    """A file in documents of about 1,000 characters: whole paragraphs, named after the place of the first."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not a UTF-8 text (byte {error.start}); save it as UTF-8") from None
    blocks = (" ".join(block.split()) for block in re.split(r"\n\s*\n", text))
    paragraphs = [block for block in blocks if block]
    if not paragraphs:
        raise ValueError(f"{file} holds no text")
    begin = 0
    for end in range(1, len(paragraphs) + 1):
        if end == len(paragraphs) or sum(map(len, paragraphs[begin:end])) >= 1000:
            yield Document(f"{file.stem} {begin + 1}", "\n".join(paragraphs[begin:end]), file.stem)
            begin = end
