"""HTML pages from the Jinja templates beside the code: escaped, and with nothing hidden in a name."""

from importlib.resources import files
from typing import Any

from hgld.foundation.display.visible import visible


def render_page(package: str, template: str, **values: Any) -> str:
    """The template of a package, filled in.

    A value is escaped for HTML, and its control and bidirectional characters are shown; only Markup is inserted as it
    is. An unknown name in the template raises jinja2.UndefinedError.
    """
    import jinja2  # 0.05 s

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, finalize=_shown
    )
    text = files(package).joinpath(template).read_text(encoding="utf-8")
    return environment.from_string(text).render(values) + "\n"


def _shown(value: object) -> object:
    # A Markup is a str as well: it was escaped by the code that made it.
    return visible(value) if type(value) is str else value
