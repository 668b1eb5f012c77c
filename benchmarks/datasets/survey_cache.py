"""Which images of a set can be decoded, kept from run to run: decoding all of GLDv2 takes half an hour."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from hgld.benchmarks.datasets.labelled_images import LabelledImages
from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.foundation.tar_images import DECODING, MAX_BYTES, MAX_PIXELS, MAX_RATIO, MAX_SCANS

# Besides the images themselves: what decides which can be read, and their pixels.
DECODER = [DECODING, MAX_BYTES, MAX_PIXELS, MAX_RATIO, MAX_SCANS, version("pillow")]


@runtime_checkable
class Fingerprinted(Protocol):
    """Images that show without being read whether one may have changed."""

    def fingerprint(self) -> str:
        """A hash that differs when an image has been replaced."""


@dataclass(frozen=True)
class Survey:
    """What decoding a set of images gave: reason by row of the unreadable ones, and a digest of the pixels.

    The digest is a sum of hashes, so that the images may be surveyed in parts, in any order.
    """

    broken: dict[int, str] = field(default_factory=dict)
    digest: int = 0

    def __add__(self, other: Survey) -> Survey:
        return Survey({**self.broken, **other.broken}, (self.digest + other.digest) % 2**256)


@dataclass(frozen=True)
class SurveyCache:
    """A JSON file with the survey of one set of images; it is valid as long as their fingerprint is `key`.

    Without a key nothing is kept: for images without a fingerprint.
    """

    path: Path
    rows: int
    key: str = ""

    @classmethod
    def of(cls, images: LabelledImages, path: Path) -> SurveyCache:
        """The cache at `path` of the images as they are now."""
        if not isinstance(images, Fingerprinted):
            return cls(path, len(images))
        key = hashlib.sha256(json.dumps([DECODER, images.fingerprint()]).encode()).hexdigest()
        return cls(path, len(images), key)

    def read(self) -> Survey | None:
        """The survey in the file; None where there is none of these images, or the file is damaged."""
        if not self.key:
            return None
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            broken = {int(row): reason for row, reason in content["broken"].items()}
            found = Survey(broken, int(content["digest"], 16))
            whole = content == self._content(found) and all(0 <= row < self.rows for row in broken)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None
        return found if whole else None

    def write(self, found: Survey) -> None:
        """Keep a survey; where that is not possible, such as on a read-only disk, the next run decodes again."""
        if not self.key:
            return
        try:
            write_text(json.dumps(self._content(found), indent=1) + "\n", self.path)
        except HgldError as error:
            echo(f"{error} (all images are checked again the next time)")

    def _content(self, found: Survey) -> dict[str, Any]:
        broken = {str(row): reason for row, reason in sorted(found.broken.items())}
        content = {"key": self.key, "digest": f"{found.digest:x}", "broken": broken}
        return {**content, "checksum": hashlib.sha256(json.dumps(content).encode()).hexdigest()}
