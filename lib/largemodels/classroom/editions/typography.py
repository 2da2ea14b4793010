"""How Chinese is set in this course: full-width punctuation, a space beside Latin letters, the terms of the glossary."""

import re

HAN = "\u3400-\u9fff\uf900-\ufaff"
FULL_WIDTH = "，。；：？！、（）“”‘’《》…—·"
# What stays as it is inside a Chinese sentence: code, formulas, links' targets, HTML.
KEPT = re.compile(r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]+\$|\]\([^)\s]*\)|<[^<>\n]+>|https?://\S+", re.DOTALL)
BULLET = re.compile(r"^\s*(?:[-*+]|\d+\.|#+|>|\|)\s+")
HEAD_WORD = re.compile(r"\*\*[^*\n]{1,6}\*\* ")  # **用时** 读约 90 分钟
NEVER = (
    *("令牌", "词元分析器", "真值矩阵", "面具", "掩蔽", "译码器", "层规范化", "贪婪", "变压器", "变换器"),
    *("您", "多重感知机机", "记号化", "词符", "自回归性模型", "提示词", "检查站", "超参", "损失值函数"),
)
RULES = (
    (
        rf"(?<=[{HAN}])[ ]?[,;:?!](?=\s|[{HAN}]|$)|(?<=[^\s|])[,;:?!](?=\s?[{HAN}])|(?<=[{HAN}])\.(?=\s|[{HAN}]|$)",
        "half-width punctuation in Chinese",
    ),
    (rf"(?<=[{HAN}])\s?\((?=[^)]*[{HAN}])|(?<=[{HAN}])\s?\((?=[^)\n]+\))", "half-width brackets in Chinese"),
    (rf"(?<=[{HAN}])[\"']|[\"'](?=[{HAN}])", "straight quotes in Chinese"),
    (rf"[{HAN}][A-Za-z0-9]|[A-Za-z0-9%][{HAN}]", "no space between Chinese and Latin letters or digits"),
    (rf"[{HAN}] [{HAN}]", "a space between two Chinese characters"),
    (
        rf"(?<=\S) (?=[{FULL_WIDTH.replace('—', '').replace('·', '').replace('“', '').replace('‘', '')}])",
        "a space before full-width punctuation",
    ),
    (r"(?<=[，。；：？！、）]) (?=[^\s|])", "a space after full-width punctuation"),
    (r"[。，；：、][。，；：、]", "two marks of punctuation"),
)


def faults(text: str) -> list[str]:
    """What is set wrongly in a piece of Chinese Markdown, each with its surroundings."""
    found = [f"the term {word} is not used here" for word in NEVER if word in text]
    found += [f"bold that does not close: {line.strip()!r}" for line in _not_closed(text)]
    prose = KEPT.sub(lambda match: "\u2060" if not match[0].startswith("](") else "]\u2060", text)
    for line in prose.splitlines():
        line = re.sub(r"[*_]{1,3}", "\u2060", HEAD_WORD.sub("\u2060", BULLET.sub("", line)))
        for pattern, name in RULES:
            for match in re.finditer(pattern, line):
                around = line[max(0, match.start() - 12) : match.end() + 12].replace("\u2060", "…")
                found.append(f"{name}: {around!r}")
    return found


def _not_closed(text: str) -> list[str]:
    """Lines in which ``**`` is still to be seen: CommonMark wants a space or a mark between it and a Chinese character."""
    from markdown_it import MarkdownIt

    plain = re.sub(r"```.*?```|`[^`\n]*`|\$[^$\n]+\$", "", text, flags=re.DOTALL)
    return [line for line in MarkdownIt().render(plain).splitlines() if "**" in line] if "**" in plain else []


def left_in_english(text: str) -> list[str]:
    """Runs of six or more English words that are neither emphasised nor quoted, as titles and examples are."""
    prose = "\n".join(BULLET.sub("", line) for line in KEPT.sub(" \u2060 ", text).splitlines())
    prose = re.sub(r"\*\*[^*\n]+\*\*|\*[^*\n]+\*|“[^”]*”|（[^）]*）|\|[^|\n]*(?=\|)", " \u2060 ", prose)
    return [match[0] for match in re.finditer(r"(?:\b[A-Za-z][A-Za-z'’-]*[ ,]+){5,}[A-Za-z]+", prose)]
