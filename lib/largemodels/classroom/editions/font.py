"""The font that pictures write Chinese with: a part of Noto Sans SC, small enough to come with the library.

``python -m largemodels.classroom.editions.font NotoSansSC-Regular.otf`` makes it anew, from the font of the Noto project
(the package ``pylopdf-fonts-zh-cn`` 0.1.1 holds the file, too). That is needed when a test says that a text of the course
has a character which the part lacks. Its licence, the SIL Open Font License, allows both the part and handing it on; it
stands beside the font.
"""

import argparse
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

from ...plots.base import CHINESE, CHINESE_FONT, CHINESE_FONT_FILE

TEXTS = (
    "chapters/text/**/*.md",
    "solutions/text/**/*.md",
    "lib/largemodels/locale/**/*.po",
    "lib/largemodels/corpora/*.py",
)
BESIDE = "".join(map(chr, range(0x20, 0x7F))) + "°±·×‘’“”–—…→−≤≥"  # for texts with a formula, which have one font
COURSE = Path(__file__).parents[4]


def characters(course: Path) -> set[str]:
    """What the font has to hold: all Chinese that the course writes, and what else a reader may write."""
    written = (path.read_text(encoding="utf-8") for pattern in TEXTS for path in course.glob(pattern))
    chinese = {character for text in written for character in CHINESE.findall(text)}
    return chinese | _standard() | {*BESIDE}


def _standard() -> set[str]:
    """The 6763 characters of GB 2312, which seldom leave a text wanting, and its punctuation."""
    rows = [0xA1, 0xA3, *range(0xB0, 0xF8)]
    cells = (bytes((row, cell)).decode("gb2312", "ignore") for row in rows for cell in range(0xA1, 0xFF))
    return {character for character in cells if CHINESE.match(character)}


def make(source: Path, target: Path, characters: set[str]) -> None:
    """Write the part of the font at `source` that holds `characters`, under the name by which `plots` asks for it.

    Raises:
        ValueError: the font lacks some of them.
    """
    font = TTFont(source, recalcTimestamp=False)  # equal fonts are equal files
    if missing := {one for one in characters if ord(one) not in font.getBestCmap()}:
        raise ValueError(f"{source} has no {' '.join(sorted(missing))}")
    options = Options(hinting=False, layout_features=[], name_IDs=["*"], notdef_outline=True)
    options.drop_tables += ["BASE", "GPOS", "GSUB", "VORG", "vhea", "vmtx"]  # for vertical and for finer setting
    part = Subsetter(options)
    part.populate(unicodes=map(ord, characters))
    part.subset(font)
    for record in font["name"].names:
        if record.nameID in (1, 4, 16):
            record.string = CHINESE_FONT
        elif record.nameID == 6:
            record.string = CHINESE_FONT.replace(" ", "")
    target.parent.mkdir(exist_ok=True)
    font.save(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, help="NotoSansSC-Regular.otf")
    make(parser.parse_args().source, CHINESE_FONT_FILE, characters(COURSE))
    print(f"{CHINESE_FONT_FILE}: {CHINESE_FONT_FILE.stat().st_size / 1e3:,.0f} kB")


if __name__ == "__main__":
    main()
