"""The order of Wikidata identifiers."""


def qid_number(qid: str) -> int:
    """The number of a QID, by which all ties are broken; as text, Q10 would come before Q9.

    >>> qid_number("Q64")
    64
    """
    return int(qid[1:])
