"""The English corpus: against Python's own `inspect` and `pydoc`, and on a file of one's own."""

import inspect
import subprocess
import sys
import textwrap
from collections import Counter

import pytest

from largemodels.corpora.english import PARTS, Document, documents, sentences, without_seen_sentences

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def corpus(tmp_path_factory):
    """Made anew, not read from the course's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LARGEMODELS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield documents()


def test_there_is_enough_of_everything(corpus):
    assert sum(len(document.text) for document in corpus) > 900_000
    by_part = Counter(document.part for document in corpus)
    assert {*by_part} == {*PARTS}
    assert all(count > 100 for part, count in by_part.items() if part != "installing")  # Python 3.12 has no distutils


def test_docstrings_are_those_that_python_shows(corpus):
    """A sample of modules that are safe to import."""
    words_of = {document.title: document.text.split() for document in corpus}
    for thing in (textwrap.wrap, textwrap.TextWrapper.fill, Counter, Counter.most_common, inspect.getsource):
        title = f"{thing.__module__}.{thing.__qualname__}"
        shown = "".join(c for c in inspect.getdoc(thing) if c not in "`*:").split()
        assert len(words_of[title]) >= 4
        assert {"".join(c for c in word if c not in "`*:") for word in words_of[title]} <= {*shown}, title


def test_no_module_is_imported():
    code = (
        "import sys; from largemodels.corpora.english import documents; documents(); "
        "print([m for m in ('tkinter', 'turtle', 'distutils', 'asyncio', 'idlelib', 'this') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_no_paragraph_comes_twice(corpus):
    paragraphs = Counter(paragraph for document in corpus for paragraph in document.text.split("\n"))
    assert max(paragraphs.values()) == 1
    assert all(paragraph.strip() == paragraph != "" for paragraph in paragraphs)


def test_it_is_prose(corpus):
    text = "\n".join(document.text for document in corpus)
    assert ">>>" not in text
    assert "::=" not in text
    assert sum(c.isalpha() or c == " " for c in text) > 0.93 * len(text)


def test_the_splits_are_the_whole_and_share_nothing(corpus):
    train, test = documents("train"), documents("test")
    assert len(train) + len(test) == len(corpus)
    assert {*train} | {*test} == {*corpus}
    assert not {document.title for document in train} & {document.title for document in test}
    assert 0.08 < len(test) / len(corpus) < 0.13


def test_no_held_out_sentence_stands_in_a_training_document(corpus):
    """Brute force over the running text, with a notion of "the same" that is not the corpus's own."""

    def plain(text):
        return "".join(c if c.isalnum() else " " for c in text.lower()).split()

    known = {" ".join(plain(s)) for d in documents("train") for s in sentences(d.text)}
    held_out = [s for d in documents("test") for s in sentences(d.text)]
    assert len(held_out) > 1_000
    assert not [s for s in held_out if " ".join(plain(s)) in known]


def test_only_seen_sentences_leave_and_only_the_held_out_side():
    train = next(f"a{i}" for i in range(99) if Document(f"a{i}", "", "x").split == "train")
    test, other = [f"b{i}" for i in range(99) if Document(f"b{i}", "", "x").split == "test"][:2]
    found = without_seen_sentences(
        [
            Document(test, "Return the name. Nobody else says so.\nIs it empty?", "x"),
            Document(other, "RETURN THE NAME!", "x"),
            Document(train, "Return the name.\nIs it empty? Return the name.", "x"),
        ]
    )
    assert found == [
        Document(test, "Nobody else says so.", "x"),
        Document(train, "Return the name.\nIs it empty? Return the name.", "x"),
    ]


def test_it_is_always_the_same(corpus):
    assert documents() == corpus


def test_a_file_of_your_own(tmp_path):
    file = tmp_path / "poem.txt"
    paragraphs = [f"第 {i} 段。 " + "".join(f"Line {n},\nof {i}. " for n in range(20)) for i in range(20)]
    file.write_text("\n\n".join(paragraphs), encoding="utf-8")
    found = documents(path=file)
    assert "\n".join(document.text for document in found) == "\n".join(" ".join(p.split()) for p in paragraphs)
    assert all(isinstance(document, Document) and document.part == "poem" for document in found)
    assert all(len(document.text) < 2000 for document in found)
    assert len(documents("train", file)) + len(documents("test", file)) == len(found) > 3


def test_sentences():
    text = "Return x. If it is 3.5, or e.g. more, raise it! Why? (See below.)\nThe next paragraph"
    assert sentences(text) == [
        "Return x.",
        "If it is 3.5, or e.g. more, raise it!",
        "Why?",
        "(See below.)",
        "The next paragraph",
    ]


def test_bad_input_is_refused_clearly(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='"train", "test", or None for all, got \'dev\''):
        documents("dev")
    with pytest.raises(FileNotFoundError, match=r"nothing\.txt"):
        documents(path=tmp_path / "nothing.txt")
    latin, empty = tmp_path / "latin.txt", tmp_path / "empty.txt"
    latin.write_bytes("Caf\xe9".encode("latin-1"))
    empty.write_text(" \n\n ", encoding="utf-8")
    with pytest.raises(ValueError, match=r"latin.txt is not a UTF-8 text \(byte 3\)"):
        documents(path=latin)
    with pytest.raises(ValueError, match="holds no text"):
        documents(path=empty)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"without the sources .* documents\(path="):
        documents()
