"""The search of the book: English by its stems, Chinese by pairs of characters.

Both editions say the terms in Chinese. Between Chinese words there are no spaces, and what cuts them apart on one side of
the search need not cut as the other does; so the index holds every two neighbours, and a query asks for all of its own. 注意力
finds the pages that have 注意 and 意力.
"""

import re

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

RUN = re.compile("[\\u4e00-\\u9fff]+|[^\\W\\u4e00-\\u9fff]+")
SPLITTER = r"""
function splitQuery(query) {
  const runs = query.match(/[\u4e00-\u9fff]+|[\p{L}\p{N}_]+?(?=[\u4e00-\u9fff]|[^\p{L}\p{N}_]|$)/gu) ?? [];
  const pairs = (run) => Array.from({ length: run.length - 1 }, (_, i) => run.slice(i, i + 2));
  return runs.flatMap((run) => (/[\u4e00-\u9fff]{3}/.test(run) ? pairs(run) : [run]));
}
"""


class SearchBothLanguages(SearchEnglish):
    """Sphinx's English search, with Chinese beside."""

    lang = "both"
    js_splitter_code = SPLITTER

    def split(self, input: str) -> list[str]:
        return [word for run in RUN.findall(input) for word in _words(run)]


def _words(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(max(1, len(run) - 1))] if "\u4e00" <= run[0] <= "\u9fff" else [run]


def setup(app: Sphinx) -> dict:
    app.add_search_language(SearchBothLanguages)
    return {"parallel_read_safe": True}
