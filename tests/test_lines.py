"""What ends a line, in every reader of other people's files."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from largemodels.corpora.english import documents, sentences
from largemodels.corpora.tasks import PromptTokenizer
from largemodels.corpora.translation import Pair, read_pairs
from largemodels.lines import read_lines, split_lines

# All that str.splitlines breaks at and that is no line feed, and the two that "universal newlines" know beside it.
NO_ENDS = ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\r"]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")))
def test_lines_are_those_of_a_file_opened_with_newline_lf(text):
    assert split_lines(text) == [line.removesuffix("\n") for line in io.StringIO(text, newline="\n")]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))), st.booleans())
def test_a_file_from_windows_has_the_same_lines(lines, ended):
    text = "\r\n".join(lines) + "\r\n" * ended
    assert split_lines(text) == split_lines(text.replace("\r\n", "\n"))


@pytest.mark.parametrize("character", NO_ENDS, ids=repr)
def test_only_a_line_feed_ends_a_line(character, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(f"\ufeffone{character}two\nthree\r\n\r\nfour".encode())
    assert read_lines(path) == [f"one{character}two", "three", "", "four"]


def test_another_encoding_is_told(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes("狗".encode("utf-16"))
    with pytest.raises(ValueError, match=r"lines\.txt is not a UTF-8 text \(byte 0\); save it as UTF-8"):
        read_lines(path)


@pytest.mark.parametrize("character", NO_ENDS, ids=repr)
def test_pairs_of_ones_own(character, tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_bytes(f"\ufeffI{character}read .\t我 看 书 。\r\n\r\nYes .\t是 。".encode())
    assert read_pairs(path) == [Pair("I read .", "我 看 书 。"), Pair("Yes .", "是 。")]


@pytest.mark.parametrize("character", NO_ENDS, ids=repr)
def test_texts_of_ones_own(character, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(f"\ufeffOne paragraph{character}of two lines.\r\n\r\nAnother one.".encode())
    assert [document.text for document in documents(path=path)] == ["One paragraph of two lines.\nAnother one."]
    assert sentences(f"One{character}sentence. Another\nthird.") == [f"One{character}sentence.", "Another", "third."]


@pytest.mark.parametrize("character", NO_ENDS, ids=repr)
def test_prompts(character):
    tokenizer = PromptTokenizer()
    assert tokenizer.encode("dog => 狗\r\ncat =>\n") == tokenizer.encode("dog => 狗\ncat =>")
    with pytest.raises(ValueError, match="is not"):
        tokenizer.encode(f"dog => 狗{character}cat =>")
