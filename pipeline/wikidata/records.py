"""What an endpoint said about a list of categories: rows, before anything is made of them."""

from dataclasses import dataclass

from hgld.pipeline.sparql.response_cache import Row

CATEGORY_ITEM = "Q4167836"


@dataclass(frozen=True)
class Heard:
    """What an endpoint said, as sorted rows without doubles; items, classes and countries by QID.

    categories: (name, "P373" | "sitelink" | "sitelink BADGE", QID). items: (QID, property, value), with property P31,
    P301, P971, P17, sameAs (values are QIDs), P625, sitelinks, "label en" or "label mul". classes: (QID, property,
    value) with P279, sameAs, the labels, alias. date: when the endpoint's data were last changed; "" where it does
    not say.
    """

    categories: tuple[Row, ...]
    items: tuple[Row, ...]
    classes: tuple[Row, ...]
    date: str = ""
