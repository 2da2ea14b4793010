"""Storage: right after any accident, and with several notebooks at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from largemodels import storage
from largemodels.corpora import english
from largemodels.storage import cached, digest
from largemodels.tokenizers import BPE, WordPiece, Words, train_once

VALUE = [["a title", "一 text\nof two lines", 1, 0.1, None], "\ud800"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("LARGEMODELS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    """Makes a value and counts how often."""

    def __init__(self, value=VALUE):
        self.value, self.calls = value, 0

    def __call__(self):
        self.calls += 1
        return self.value


def test_made_once_and_then_read(place):
    make = Maker()
    for _ in range(3):
        assert cached("x", [b"source"], make) == VALUE
    assert make.calls == 1
    assert [path.suffix for path in place.iterdir()] == [".json"]


def test_another_source_is_another_result(place):
    assert cached("x", [b"source"], Maker(1)) == 1
    assert cached("x", [b"source, changed"], Maker(2)) == 2
    assert cached("x", [b"sour", b"ce"], Maker(3)) == 3  # where a part ends counts
    assert cached("y", [b"source"], Maker(4)) == 4
    assert cached("x", [b"source"], Maker(5)) == 1
    assert len({digest(parts) for parts in ([], [b""], [b"", b""], [b"\0" * 8])}) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"title", b"tilte"),
        lambda content: content + b" ",
        lambda content: b"\xff\xfe" + content,
        lambda content: json.dumps(["another value"]).encode(),
    ],
)
def test_a_damaged_file_is_made_anew(place, damage):
    cached("x", [b"source"], Maker())
    (path,) = place.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    make = Maker()
    assert cached("x", [b"source"], make) == VALUE
    assert make.calls == 1
    assert path.read_bytes() == whole
    assert [*place.iterdir()] == [path]


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LARGEMODELS_CACHE", str(tmp_path / "file" / "below"))
    assert cached("x", [b"source"], Maker()) == VALUE


def test_a_full_disk_leaves_nothing_behind(place, monkeypatch):
    def no_room(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "replace", no_room)
    assert cached("x", [b"source"], Maker()) == VALUE
    assert [*place.iterdir()] == []


def test_an_error_while_making_is_told_and_not_kept(place):
    def fail():
        raise KeyError("x")

    with pytest.raises(KeyError):
        cached("x", [b"source"], fail)
    assert cached("x", [b"source"], Maker()) == VALUE


def test_without_a_choice_it_is_in_the_course(monkeypatch):
    monkeypatch.delenv("LARGEMODELS_CACHE")
    assert storage.folder() == Path(__file__).parents[1] / ".cache"


def test_many_at_once_all_get_the_whole(place):
    code = (
        "import sys; from largemodels.storage import cached; sys.stdin.readline()\n"
        "for i in range(200):\n"
        "    assert cached('x', [str(i % 3).encode()], lambda: [str(i % 3) * 100_000]) == [str(i % 3) * 100_000]\n"
        "    if i % 5 == 0:\n"
        "        for path in __import__('largemodels').storage.folder().glob('*.json'):\n"
        "            path.unlink(missing_ok=True)"
    )
    notebooks = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) for _ in range(4)]
    for notebook in notebooks:
        notebook.stdin.write(b"go\n")
        notebook.stdin.close()
    assert [notebook.wait() for notebook in notebooks] == [0] * 4
    assert not [*place.glob("*.part")]


def test_the_corpus_is_the_same_from_the_cache_and_follows_its_sources(tmp_path, place, monkeypatch):
    library = tmp_path / "library"
    library.mkdir()
    (library / "os.py").write_text('"""This is the sentence of one module."""')
    (library / "shelve.py").write_text('"""This is the sentence of another."""')
    monkeypatch.setattr(english.sysconfig, "get_path", lambda name: str(library))

    made = english.documents()
    assert [d.title for d in made][-2:] == ["shelve", "os"]
    monkeypatch.setattr(english, "_docstrings", None)  # from now on it could not be made
    assert english.documents() == made
    monkeypatch.undo()
    monkeypatch.setenv("LARGEMODELS_CACHE", str(place))
    monkeypatch.setattr(english.sysconfig, "get_path", lambda name: str(library))
    (library / "os.py").write_text('"""This is its new sentence, after an update."""')
    assert english.documents()[-1].text == "This is its new sentence, after an update."
    (library / "os.py").rename(library / "stat.py")
    (library / "os.py").write_text("")
    assert english.documents()[-1].title == "stat"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (BPE, {"merges": 20, "special": ["<eos>"]}),
        (WordPiece, {"size": 60, "special": ("<pad>", "<unk>"), "unknown": "<unk>", "lowercase": False}),
    ],
)
def test_a_tokenizer_is_trained_once(place, kind, options, monkeypatch):
    texts = ["Der Hund liebt den Ball, der Ball den Hund.", "狗 喜欢 球", "déjà vu, déjà"]
    learned = kind.train(texts, **options)
    assert vars(train_once(kind, iter(texts), **options)) == vars(learned)
    train = kind.train
    monkeypatch.setattr(kind, "train", None)  # from now on it could not be made
    kept = train_once(kind, texts, **options)
    assert type(kept) is kind
    assert vars(kept) == vars(learned)
    assert kept.encode(texts[0]) == learned.encode(texts[0])
    monkeypatch.setattr(kind, "train", train)
    assert train_once(kind, texts[:1], **options).tokens != learned.tokens  # other texts
    assert len([*place.iterdir()]) == 2


def test_what_cannot_be_trained_is_refused_as_ever(place):
    with pytest.raises(ValueError, match="lone surrogate"):
        train_once(BPE, ["a", "\ud800"], merges=3)
    with pytest.raises(ValueError, match="at least 0"):
        train_once(BPE, ["a"], merges=-3)
    with pytest.raises(TypeError, match=r"call Words\.train"):
        train_once(Words, ["a"])
    assert not place.exists()
