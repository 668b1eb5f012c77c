"""Any landmark can be opened in the review page, as from the page /quality, with what the annotators said on it."""

from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from hgld.foundation.settings import Params
from hgld.hierarchy.curation.settled_verdicts import newest
from hgld.hierarchy.curation.verdicts import load_verdicts
from hgld.pipeline.review.desk import Desk
from hgld.pipeline.review.landmark_evidence import LandmarkEvidence
from hgld.pipeline.review.queue_items import item_of


class Wanted(BaseModel):
    """The landmark to open."""

    category: str = Field(max_length=2_000)


@dataclass(frozen=True)
class Adjudication:
    """The items that were opened on purpose, and the opinions on these; on others, they would sway the annotator."""

    params: Params
    folder: Path
    desk: Desk
    evidence: LandmarkEvidence
    opened: set[int] = field(default_factory=set)

    def open(self, category: str) -> int:
        """The position of a landmark, which is added to the items if it is not among them.

        Raises HTTPException for an unknown one, and HgldError where its evidence cannot be read.
        """
        if not self.evidence.landmarks(category):
            raise HTTPException(404, f"there is no landmark {category}")
        position = self.desk.find(category)
        if position is None:
            position = self.desk.add(item_of(self.params, category, self.folder))
        self.opened.add(position)
        return position

    def opinions(self, position: int) -> list[dict[str, str]]:
        """The newest verdict of each annotator on a conflict, or on an item that was opened; none on any other.

        Raises HgldError for a malformed verdict file.
        """
        item = self.desk.items[position]
        if item.reason != "conflict" and position not in self.opened:
            return []
        verdicts = load_verdicts(self.folder, self.desk.labels, self.params.verdict_profiles, item.kind)
        rows = newest(verdicts[verdicts["category"] == item.category])
        columns = ["annotator", "hierarchical_label", "comment", "decided_on"]
        return [{str(name): str(value) for name, value in row.items()} for row in rows[columns].to_dict("records")]


def add_adjudication(app: FastAPI, adjudication: Adjudication) -> None:
    """The request that opens a landmark."""

    @app.post("/api/items")
    def open_landmark(wanted: Wanted) -> dict[str, int]:
        """The position of a landmark, which is added to the items if it is not among them."""
        return {"position": adjudication.open(wanted.category)}
