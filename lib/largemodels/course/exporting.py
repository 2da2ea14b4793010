"""A notebook saved as a page, which asks nothing of a network: its formulas are MathML, which browsers set themselves."""

from jinja2 import pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath


@pass_context
def markdown2html(context: Context, source: str) -> str:
    """In the place of nbconvert's own filter, which leaves the formulas to a script from elsewhere."""
    path = context.get("resources", {}).get("metadata", {}).get("path", "")
    renderer = WithMathML(escape=False, attachments=context.get("cell", {}).get("attachments", {}), path=path)
    return MarkdownWithMath(renderer=renderer).render(source)


class WithMathML(IPythonRenderer):
    """The renderer of nbconvert, but for formulas."""

    def inline_math(self, body: str) -> str:
        return self._mathml(body, "inline") or super().inline_math(body)

    def block_math(self, body: str) -> str:
        return self._mathml(body, "block") or super().block_math(body)

    def latex_environment(self, name: str, body: str) -> str:
        written = f"\\begin{{{name}}}{body}\\end{{{name}}}"
        return self._mathml(written, "block") or super().latex_environment(name, body)

    @staticmethod
    def _mathml(body: str, display: str) -> str | None:
        """None for what a reader wrote and LaTeX does not know: that stays as it was typed."""
        try:
            return convert(body.replace("{aligned}", "{align*}"), display=display)  # the name that it knows
        except Exception:  # the library's errors have no class in common
            return None
