"""Explorers on a page without a kernel: the place that a notebook's output leaves them, and the script that fills it."""

import html
import json
from collections.abc import Mapping
from pathlib import Path

from ...explorers.frame import HERE as EXPLORERS
from ...explorers.frame import module
from ...explorers.paged import PAGE

MODULES = ("heads", "masks")


def as_html(data: Mapping) -> str | None:
    """An output as an element that the script brings to life; None if it is no explorer that can live on a page."""
    if PAGE not in data:
        return None
    state = html.escape(json.dumps(data[PAGE], ensure_ascii=False))
    return f'<div class="live-explorer" data-state="{state}"></div>'


def script() -> str:
    """One ordinary script, since pages that are opened as files may not import ES modules."""
    export = "export default"
    parts = []
    for name in MODULES:
        code, _, exported = module(f"{name}.js").rpartition(export)
        parts.append(f"MODULES.{name} = (() => {{\n{code}return {exported.strip()}\n}})();")
    main = Path(__file__).with_name("live.js").read_text(encoding="utf-8")
    return "\n".join(["(() => {", "const MODULES = {};", *parts, main, "})();", ""])


def style() -> str:
    """The explorers' sheets: the one that all share, and each its own."""
    return "\n".join((EXPLORERS / f"{name}.css").read_text(encoding="utf-8") for name in ("frame", *MODULES))
