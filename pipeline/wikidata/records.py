"""What an endpoint returned about a list of categories: plain rows, the input of `entities` and `tables`."""

from dataclasses import dataclass

from hgld.pipeline.sparql.rdf_terms import Row

CATEGORY_ITEM = "Q4167836"


@dataclass(frozen=True)
class WikidataRecords:
    """The answers of an endpoint as sorted, distinct rows; items, classes and countries are QIDs.

    categories: (name, "P373" | "sitelink" | "sitelink BADGE", QID). items: (QID, property, value), with property P31,
    P301, P971, P17, sameAs (values are QIDs), P625, sitelinks, "label en" or "label mul". classes: (QID, property,
    value) with P279, sameAs, the labels, alias. date: when the endpoint's data were last modified; "" if it does not
    say.
    """

    categories: tuple[Row, ...]
    items: tuple[Row, ...]
    classes: tuple[Row, ...]
    date: str = ""
