"""The code blocks of the documentation: README.md, docs/**/*.md, and the pages that these link to in other folders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("hgld", "dvc", "make", "python", "torchrun", "pytest", "pip", "git", "pre-commit", "mkdocs", "cd")


@dataclass(frozen=True)
class Block:
    """A fenced or indented block: line: that of its first line of code, from 1. file: the name in its title."""

    page: str
    line: int
    language: str
    text: str
    file: str = ""

    @property
    def commands(self) -> list[str]:
        """The commands of a block of the shell, one a line, without comments."""
        if self.language not in ("", "bash", "sh"):
            return []
        lines = (re.sub(r"\s+#\s.*", "", line).strip() for line in self.text.splitlines())
        return [line for line in lines if line.split(" ")[0] in PROGRAMS]


def pages() -> list[str]:
    """README.md, CONTRIBUTING.md and every page of docs/, as paths from the root."""
    found = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
    return ["README.md", "CONTRIBUTING.md", "DATA_CARD.md", "review/README.md", *found]


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in its order. In a list, what is indented by eight spaces is a block."""
    found: list[Block] = []
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    number, indent = 0, "    "
    while number < len(lines):
        line = lines[number]
        if fence := re.match(r"( *)(```+)(\w*)(?: title=\"(.+)\")?$", line):
            end = next(n for n in range(number + 1, len(lines)) if lines[n].strip() == fence[2])
            text = "\n".join(row.removeprefix(fence[1]) for row in lines[number + 1 : end])
            found.append(Block(page, number + 2, fence[3], text, fence[4] or ""))
            number = end
        elif line.startswith(indent) and not lines[number - 1].strip():
            end = number
            while end < len(lines) and (lines[end].startswith(indent) or not lines[end].strip()):
                end += 1
            text = "\n".join(row.removeprefix(indent) for row in lines[number:end]).rstrip()
            found.append(Block(page, number + 1, "", text))
            number = end - 1
        elif re.match(r"[-*] |\d+\. ", line):
            indent = " " * 8
        elif line and not line.startswith(" "):
            indent = "    "
        number += 1
    return found


# Pages whose commands `python -m tests.reproduce` runs in a clone after `dvc repro`, in this order.
SAMPLE_PAGES = (
    "docs/get_started/train_and_score.md",
    "docs/get_started/maintain_labels.md",
    "docs/get_started/annotate.md",
    "docs/concepts/pipeline.md",
    "docs/concepts/hierarchy.md",
    "docs/concepts/evidence.md",
    "docs/concepts/provenance.md",
    "docs/label_your_own.md",
    "docs/how_to/publish_a_release.md",
    "docs/how_to/extend_the_taxonomy.md",
    "docs/release.md",
    "docs/changes.md",
    "README.md",
)
# Of these, the commands that need no person, no other host and no files of their own but those of PREPARED.
SAMPLE_COMMANDS = re.compile(
    r"hgld (data$|benchmark (data/sample|models)|train mine|leaderboard scores|show|graph$|check|card --check|verify"
    r"|archive --out \w+$|export|cite|classify|compare (labels|old_release)|compare OLD)|dvc (metrics|dag)"
    r"|python examples/"
)
# What the commands name, by the Python that writes it: in the folder of the clone.
PREPARED = {
    "TEXTS.csv": "landmark_id,NAME\n1,parish church\n2,Lake Tahoe\n",
    "LABELS.csv": "NAME,hierarchical_label\nparish church,church\nLake Como,lake\nOld Church,church\nBlue Lake,lake\n",
    "published.csv": "landmark_id,hierarchical_label\n1,church\n2,lake\n",
}


def sample_commands() -> list[tuple[str, str]]:
    """The page and the command, in order."""
    found = [(page, line) for page in SAMPLE_PAGES for block in blocks(page) for line in block.commands]
    return [(page, line) for page, line in found if SAMPLE_COMMANDS.match(line)]


def sample_files() -> dict[str, str]:
    """The files that the commands of the sample read: run files as the pages show them, and PREPARED."""
    shown = {
        block.file: block.text + "\n" for page in SAMPLE_PAGES for block in blocks(page) if block.language == "yaml"
    }
    return {**shown, **PREPARED}
