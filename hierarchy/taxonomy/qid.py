"""Wikidata identifiers of items, and their order."""

# The pattern of a whole QID. Bounded, as Python refuses to read numbers of thousands of digits.
QID = r"Q[1-9][0-9]{0,17}"


def qid_number(qid: str) -> int:
    """The number of a QID, by which all ties are broken; as text, Q10 would come before Q9.

    >>> qid_number("Q64")
    64
    """
    return int(qid[1:])
