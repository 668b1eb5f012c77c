"""What in a release is under which licence: one file for each source, and the table in its README.md."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    """A source of the release: the file that states its licence, what it covers, the licence, and whom to name.

    url: of the text of the licence; spdx: its identifier, "" where each image has its own.
    """

    file: str
    covers: str
    title: str
    spdx: str
    url: str
    attribution: str

    def text(self) -> str:
        """The content of the file."""
        lines = [
            f"For {self.covers}.",
            "",
            f"Licence: {self.title}",
            *([f"SPDX identifier: {self.spdx}"] if self.spdx else []),
            f"Text: {self.url}",
            f"Attribution: {self.attribution}",
        ]
        return "\n".join(lines) + "\n"

    def row(self) -> str:
        """Its row in a Markdown table of what, licence and file."""
        return f"| {self.covers} | [{self.title}]({self.url}) | [{self.file}]({self.file}) |"


_CC_BY = ("Creative Commons Attribution 4.0 International", "CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/")

LICENCES = (
    Licence(
        "LICENSE",
        "the hierarchical labels, the taxonomy and the verdicts of annotators",
        *_CC_BY,
        "as in CITATION.cff",
    ),
    Licence(
        "LICENSE-GLDv2.txt",
        "the ids, landmarks, categories and splits of the Google Landmarks Dataset v2",
        *_CC_BY,
        "Google Landmarks Dataset v2, https://github.com/cvdfoundation/google-landmark",
    ),
    Licence(
        "LICENSE-Wikidata.txt",
        "the facts about items and classes: QIDs, English labels, the class graph",
        "Creative Commons CC0 1.0 Universal",
        "CC0-1.0",
        "https://creativecommons.org/publicdomain/zero/1.0/",
        "none is asked for; they are from Wikidata, https://www.wikidata.org",
    ),
    Licence(
        "LICENSE-images.txt",
        "the images, which are not in this folder",
        "Creative Commons licences or public domain, for each image its own",
        "",
        "https://github.com/cvdfoundation/google-landmark",
        "author, title and licence of each train image are in GLDv2's train_attribution.csv",
    ),
)
# That of the folder as a whole, as registries and dataset cards name it.
MAIN = LICENCES[0]
