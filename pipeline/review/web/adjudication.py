"""Any landmark or class can be opened in the review page, as from /quality, with what the annotators said on it."""

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from hgld.hierarchy.curation.settled_verdicts import newest
from hgld.hierarchy.curation.verdict import LANDMARK
from hgld.hierarchy.curation.verdicts import load_all_verdicts
from hgld.pipeline.review.candidate_tables import CandidateTables
from hgld.pipeline.review.desk import Desk
from hgld.pipeline.review.queue_items import item_of


class Wanted(BaseModel):
    """The landmark or class to open. category: the category of the landmark, or the QID of the class."""

    category: str = Field(max_length=2_000)
    kind: Literal["landmark", "class"] = "landmark"


@dataclass(frozen=True)
class Adjudication:
    """The items that were opened on purpose, and the opinions on these; on others, they would sway the annotator."""

    tables: CandidateTables
    desk: Desk
    opened: set[int] = field(default_factory=set)

    def open(self, category: str, kind: str = LANDMARK) -> int:
        """The position of a landmark or class, which is added to the items if it is not among them.

        Raises HTTPException for one that cannot be judged, and HgldError where the tables cannot be read.
        """
        position = self.desk.find(category, kind)
        if position is None:
            try:
                item = item_of(self.tables, category, kind)
            except KeyError:
                what = "landmark" if kind == LANDMARK else "class of landmarks without a label"
                raise HTTPException(404, f"there is no {what} {category}") from None
            position = self.desk.add(item)
        self.opened.add(position)
        return position

    def opinions(self, position: int) -> list[dict[str, str]]:
        """The newest verdict of each annotator on a conflict, or on an item that was opened; none on any other.

        Raises HgldError for a malformed verdict file.
        """
        item = self.desk.items[position]
        if item.reason != "conflict" and position not in self.opened:
            return []
        profiles = self.tables.params.verdict_profiles
        of_kind = load_all_verdicts(self.tables.folder, self.desk.labels, profiles)[item.kind]
        verdicts = pd.concat([of_kind.given, of_kind.unsure], ignore_index=True)
        rows = newest(verdicts[verdicts["category"] == item.category])
        columns = ["annotator", "hierarchical_label", "answer", "comment", "decided_on"]
        return [{str(name): str(value) for name, value in row.items()} for row in rows[columns].to_dict("records")]


def add_adjudication(app: FastAPI, adjudication: Adjudication) -> None:
    """The request that opens a landmark or a class."""

    @app.post("/api/items")
    def open_item(wanted: Wanted) -> dict[str, int]:
        """The position of a landmark or class, which is added to the items if it is not among them."""
        return {"position": adjudication.open(wanted.category, wanted.kind)}
