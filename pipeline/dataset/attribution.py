"""Who made the images of train, and under which license: data/P/metadata/train_attribution.parquet."""

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hgld.foundation.errors import HgldError, reason
from hgld.foundation.files import remedy
from hgld.foundation.settings import Params
from hgld.pipeline.dataset.image_credit import license_of, plain_author

_LONGEST = 200


class Attributions:
    """Some of the columns url, author, title and license, as they are on Wikimedia Commons; each text may be empty.

    For GLDv2, 4 million rows: read in two seconds, and an answer takes 0.1 s. Without the titles they take 0.4 GB.
    """

    def __init__(self, params: Params, columns: Sequence[str] = ("author", "license")) -> None:
        path = params.data / "metadata" / "train_attribution.parquet"
        self._table: pa.Table | None = None
        if not path.is_file():
            return
        try:
            self._table = pq.read_table(
                path, columns=["id", *columns], read_dictionary=["author", "license"], partitioning=None
            )
        except (pa.ArrowException, OSError, ValueError) as error:
            raise HgldError(f"{path}: not the expected Parquet table: {reason(error)}; {remedy(path)}") from None

    def __len__(self) -> int:
        return 0 if self._table is None else len(self._table)

    def ids(self) -> pa.ChunkedArray:
        """The ids of the images that have a row, sorted."""
        return pa.chunked_array([], pa.string()) if self._table is None else self._table["id"]

    def rows(self) -> Iterator[dict[str, str]]:
        """Every row, with its id, by id."""
        for batch in self._table.to_batches(1 << 16) if self._table is not None else ():
            for row in batch.to_pylist():
                yield {name: text or "" for name, text in row.items()}

    def of(self, image_ids: Collection[str]) -> dict[str, dict[str, str]]:
        """Image id → its attribution by column, of those that have one."""
        if self._table is None or not image_ids:
            return {}
        wanted = pc.is_in(self._table["id"], value_set=pa.array(image_ids, pa.string()))
        rows = self._table.filter(wanted).to_pylist()
        return {row.pop("id"): {name: text or "" for name, text in row.items()} for row in rows}


def credit(author: str, license_name: str) -> str:
    """What is shown with a picture: "AUTHOR, LICENSE", each on one line and without markup.

    >>> credit(" Ana  Lopes", "CC BY-SA 3.0"), credit("", "http://creativecommons.org/publicdomain/zero/1.0/")
    ('Ana Lopes, CC BY-SA 3.0', 'CC0 1.0')
    """
    texts = plain_author(author)[0], license_of(license_name)[0]
    return ", ".join(text[:_LONGEST] for text in texts if text)
