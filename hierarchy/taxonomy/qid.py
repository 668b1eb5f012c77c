"""Wikidata identifiers of items, and their order."""

# The pattern of a whole QID. Bounded, as Python refuses to read numbers of thousands of digits.
QID = r"Q[1-9][0-9]{0,17}"


def qid_number(qid: str) -> int:
    """The number of a QID, by which all ties are broken; as text, Q10 would come before Q9.

    >>> qid_number("Q64")
    64
    """
    return int(qid[1:])


def item_url(qid: str) -> str:
    """The page of an item or a class on Wikidata.

    >>> item_url("Q64")
    'https://www.wikidata.org/wiki/Q64'
    """
    return f"https://www.wikidata.org/wiki/{qid}"
