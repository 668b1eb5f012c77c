"""RDF terms as queries and N-Triples write them, and the rows of their values that queries return."""

import json
import re

# The values of one row of a result, in the order of the columns; "" for an unbound variable.
Row = tuple[str, ...]

ENTITY = "http://www.wikidata.org/entity/"

# Bounded, as Python refuses to read numbers of thousands of digits.
QID = re.compile("Q[1-9][0-9]{0,17}")
_ITEM = re.compile(re.escape(ENTITY) + f"({QID.pattern})")


def entity(qid: str) -> str:
    """The prefixed name of an item.

    >>> entity("Q42")
    'wd:Q42'
    """
    return f"wd:{qid}"


def literal(text: str, language: str = "") -> str:
    r"""The term of a string, with a language tag if one is given.

    >>> literal('Rue "A"', "en")
    '"Rue \\"A\\""@en'
    """
    quoted = json.dumps(text, ensure_ascii=False)
    return f"{quoted}@{language}" if language else quoted


def qid(uri: str) -> str:
    """The QID in an item's URI; "" for any other URI (a blank node, a lexeme, a property)."""
    match = _ITEM.fullmatch(uri)
    return match[1] if match else ""
