"""Lines of text files that other people have written.

`str.splitlines` takes ten characters for the end of a line, the line separator U+2028 among them, and opening a file as
text takes three. To a vocabulary these are tokens like any other: bert-base-chinese has U+2028 as its token 343.
"""

import os
from pathlib import Path


def split_lines(text: str) -> list[str]:
    """The lines of a text. A line feed ends a line, with a carriage return before it (Windows) or without; nothing else."""
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def read_lines(path: str | os.PathLike) -> list[str]:
    """The lines of a UTF-8 file, without the mark that some editors put at its beginning.

    Raises:
        ValueError: a file in another encoding.
    """
    try:
        return split_lines(Path(path).read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a UTF-8 text (byte {error.start}); save it as UTF-8") from None
