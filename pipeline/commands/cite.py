"""`hgld cite`: the credits of images, as their licenses ask for them."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hgld.foundation.display.svg import escape
from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, shortened
from hgld.foundation.files import replacing
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_csv
from hgld.pipeline.dataset.attribution import Attributions
from hgld.pipeline.dataset.image_credit import ImageCredit, image_credit, web_url
from hgld.pipeline.dataset.landmarks import IMAGES
from hgld.pipeline.dataset.schemas import read_stage_table

_COLUMNS = ("url", "author", "license", "title")
# A mistyped id differs in few digits; random ids differ in fifteen of sixteen.
_MOST_TYPOS = 3


@dataclass
class Citation:
    """The credits as text, "" where they were written to a file; and what is missing, a line each."""

    text: str = ""
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def cite(
    params: Params, keys: Sequence[str], form: str, out: Path | None = None, *, everything: bool = False
) -> Citation:
    """The credits of train images, one each, in the order of the keys.

    keys: image ids, and CSV files with a column image_id or id. everything: those of all train images, by id; keys then
    stay empty, and `out`, where they are written, is required.

    Raises HgldError when there is no attribution table, when nothing is asked for, and for a CSV that cannot be read.
    """
    if everything and keys:
        raise HgldError("--all is every image: give no ids with it")
    if not everything and not keys:
        raise HgldError("name the images: their ids, or a CSV with a column image_id; --all is every train image")
    attributions = Attributions(params, _COLUMNS)
    if not len(attributions):
        raise HgldError(
            f"{params.data / 'metadata' / 'train_attribution.parquet'}: no row; GLDv2 publishes train_attribution.csv, "
            "which the stage download fetches; run: dvc repro download"
        )
    if everything:
        return _all(params, attributions, form, out)
    ids = list(dict.fromkeys(one for key in keys for one in _ids(key)))
    rows = attributions.of(ids)
    result = Citation(faults=_unknown([one for one in ids if one not in rows], params, attributions))
    credits = [image_credit({"id": one, **rows[one]}) for one in ids if one in rows]
    result.notes = _incomplete(credits)
    if out is None:
        result.text = "".join(_FORMATS[form](credits))
    elif credits:
        _write(_FORMATS[form](credits), out)
    return result


def _ids(key: str) -> list[str]:
    """The ids that an argument gives: itself, or those in a CSV."""
    if not key.lower().endswith(".csv"):
        return [key.strip()]
    table = read_csv(Path(key), [], extra=True)
    column = next((name for name in ("image_id", "id") if name in table), None)
    if column is None:
        raise HgldError(f"{key}: no column image_id or id; found {', '.join(map(str, table)) or 'nothing'}")
    return [str(value) for value in table[column] if value]


def _all(params: Params, attributions: Attributions, form: str, out: Path | None) -> Citation:
    """The credits of all train images, to a file; what is missing is counted, and all of it is in a CSV."""
    if out is None:
        raise HgldError("--all writes the credits of every train image: name the file with --out")
    train = pa.array(read_stage_table(params.data / "metadata" / "train.parquet", ["id"])["id"], pa.string())
    without = train.filter(pc.invert(pc.is_in(train, value_set=attributions.ids())))
    strangers = attributions.ids().filter(pc.invert(pc.is_in(attributions.ids(), value_set=train)))
    left_out, unnamed = set(strangers.to_pylist()), list[str]()

    def credits() -> Iterator[ImageCredit]:
        for row in attributions.rows():
            if row["id"] not in left_out:
                credit = image_credit(row)
                if not credit.is_complete:
                    unnamed.append(credit.image_id)
                yield credit
        if form == "csv":
            yield from (ImageCredit(image_id, "", "", "", "", "", "") for image_id in without.to_pylist())

    _write(_FORMATS[form](credits()), out)
    notes = [f"written to {out}: credits of {len(train) - len(without):,} of {len(train):,} train images"]
    for what, ids in (
        ("train images have no row in train_attribution", without.to_pylist()),
        ("train images have a row that lacks the author or the license", unnamed),
        ("images of train_attribution are not in train; left out", sorted(left_out)),
    ):
        if ids:
            notes.append(f"{len(ids):,} {what}: {', '.join(shortened(ids, 5))}")
    return Citation(notes=notes)


def _incomplete(credits: Iterable[ImageCredit]) -> list[str]:
    return [
        f"image {credit.image_id}: {' and '.join(name for name in ('author', 'license') if not getattr(credit, name))} "
        f"not stated; look it up at {credit.source_url or 'the source'}"
        for credit in credits
        if not credit.is_complete
    ]


def _unknown(ids: Sequence[str], params: Params, attributions: Attributions) -> list[str]:
    """A line for each image without a row: of which split it is, or the id that is most like it."""
    if not ids:
        return []
    others = {
        image_id: split
        for split in ("train", "index", "test")
        for image_id in set(ids) & set(_split_ids(params, split))
    }
    known = _digits(attributions.ids())
    lines = []
    for image_id in ids:
        split = others.get(image_id)
        if split == "train":
            lines.append(f"image {image_id}: GLDv2's train_attribution has no row for it")
        elif split:
            lines.append(f"image {image_id}: of {split}; GLDv2 publishes the authors of train images only")
        else:
            lines.append(f"no image {image_id!r}{_nearest(image_id, known)}")
    return lines


def _split_ids(params: Params, split: str) -> list[str]:
    path = params.data / "metadata" / f"{IMAGES.get(split, split)}.parquet"
    return list(read_stage_table(path, ["id"])["id"]) if path.is_file() else []


def _digits(ids: pa.ChunkedArray) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """Ids (n) as their characters (n, 16)."""
    text = "".join(ids.to_pylist()).encode("ascii", "replace")
    return np.frombuffer(text, np.uint8).reshape(len(ids), -1)


def _nearest(image_id: str, known: "np.ndarray[tuple[int, int], np.dtype[np.uint8]]") -> str:
    """The known id that differs in the fewest digits, as the end of a message."""
    text = image_id.lower().encode("ascii", "replace")
    if len(text) != known.shape[1]:
        return f"; an image id has {known.shape[1]} hex digits"
    typos = (known != np.frombuffer(text, np.uint8)).sum(axis=1)
    best = int(typos.argmin())
    return f"; did you mean '{known[best].tobytes().decode()}'?" if typos[best] <= _MOST_TYPOS else ""


def _write(parts: Iterable[str], out: Path) -> None:
    with replacing(out) as part, part.open("w", encoding="utf-8", newline="\n") as handle:
        handle.writelines(parts)


def _text(credits: Iterable[ImageCredit]) -> Iterator[str]:
    for credit in credits:
        yield f"{visible(credit.line())}\n"


def _csv(credits: Iterable[ImageCredit]) -> Iterator[str]:
    yield _csv_line([*(one.name for one in fields(ImageCredit)), "credit"])
    for credit in credits:
        yield _csv_line([*astuple(credit), credit.line() if credit.source_url or credit.is_complete else ""])


def _csv_line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([visible(value) for value in values])
    return text.getvalue()


def _html(credits: Iterable[ImageCredit]) -> Iterator[str]:
    """A list to paste into a page; only http and https URLs become links."""
    yield "<ul>\n"
    for credit in credits:
        title = _link(credit.title or f"Image {credit.image_id}", credit.source_url)
        author = _link(credit.author or "an unknown author", credit.author_url)
        yield f"<li>{title} by {author}, {_link(credit.license or 'license not stated', credit.license_url)}</li>\n"
    yield "</ul>\n"


def _link(text: str, url: str) -> str:
    url = web_url(url)
    return f'<a href="{escape(url)}">{escape(text)}</a>' if url else escape(text)


_FORMATS: Mapping[str, Callable[[Iterable[ImageCredit]], Iterator[str]]] = {"text": _text, "csv": _csv, "html": _html}
