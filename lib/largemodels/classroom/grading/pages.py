"""From a template to a page: one file, which opens without a network and in which nothing runs.

The templates lie in ``templates/``. All that is put into them is escaped, and passes `shown`; texts stand in ``{% trans %}``, so that
gettext finds them.
"""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ...language import language, say
from ..report import marked_up
from .shown import shown, shown_name
from .tables import number


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        finalize=lambda value: shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(
        say, lambda one, many, count: say(one) if count == 1 else say(many), newstyle=True
    )
    environment.filters["number"] = number
    environment.filters["name"] = shown_name
    environment.filters["marked_up"] = lambda text: Markup(marked_up(shown(text)))
    environment.filters["lines"] = lambda text: Markup("<br>").join(escape(line) for line in shown(text).splitlines())
    return environment


def page(template: str, **content: object) -> str:
    """A complete HTML page, in the language that is spoken here."""
    return _environment().get_template(template).render(language=language(), **content)
