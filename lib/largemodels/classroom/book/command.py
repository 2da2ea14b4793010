"""``python -m largemodels book``: make the book, both editions."""

import argparse
import sys
import time
from pathlib import Path

from ...course.lab import course_folder
from ...language import languages
from .site import BookError, make_book


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("book"), metavar="FOLDER", help="where to put it (default: %(default)s)"
    )
    parser.add_argument(
        "--language", nargs="+", choices=languages(), default=list(languages()), help="the editions to make (all)"
    )


def main(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    try:
        made = make_book(course_folder(), arguments.out, arguments.language)
    except (BookError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for language, pages in made.items():
        print(f"{arguments.out / language / 'index.html'}: {len(pages)} pages")
        missing = [page.name for page in pages if page.language != language]
        if missing:
            print(f"  in English for want of a notebook in {language}: {', '.join(missing)}")
    print(f"{time.monotonic() - started:.0f} s")
    return 0
