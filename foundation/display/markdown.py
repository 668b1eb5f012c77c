"""Text from outside in Markdown: nothing in it is markup or HTML."""

import re

from hgld.foundation.display.visible import visible


def markdown_text(text: str) -> str:
    r"""Text for a cell of a table, a heading or a sentence.

    >>> markdown_text("a | <b>*bold*</b> [x](y)")
    'a \\| &lt;b&gt;\\*bold\\*&lt;/b&gt; \\[x\\](y)'
    """
    text = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", text)
