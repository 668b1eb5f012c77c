"""What a release says about itself: the facts that its README.md, croissant.json and CITATION.cff share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hgld.foundation.settings import Release
from hgld.hierarchy.fusion.evidence_kinds import KINDS

GLDV2 = "https://github.com/cvdfoundation/google-landmark"
KEYWORDS = ("landmarks", "image retrieval", "hierarchical labels", "Wikidata", "Google Landmarks Dataset v2")


@dataclass(frozen=True)
class About:
    """The settings of the release (name, version, note, homepage, date), and the content of card.json."""

    settings: Release
    numbers: Mapping[str, Any]

    @property
    def images(self) -> int:
        """How many images the three splits have."""
        return sum(int(split["images"]) for split in self.numbers["splits"].values())

    @property
    def summary(self) -> str:
        """The release in two sentences, without its note."""
        categories = int(self.numbers["categories"])
        return (
            f"Hierarchical labels for {categories:,} categories of landmarks of the Google Landmarks Dataset v2, and "
            f"its train, index and test splits ({self.images:,} images) with these labels. Each landmark has a path "
            "landmark → supercategory → hierarchical label → natural or human-made."
        )

    @property
    def description(self) -> str:
        """The summary, and the note of the settings."""
        return " ".join(filter(None, [self.summary, self.settings.note]))

    @property
    def reviewed(self) -> bool:
        """Whether people decided at least one label."""
        people = [kind.source for kind in KINDS if not kind.module and kind.source != "wikidata"]
        return any(self.numbers["sources"][source]["categories"] for source in people)
