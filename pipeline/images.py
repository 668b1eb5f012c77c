"""Stage `images`: GLDv2's tars of pictures, verified, and an index of where in them each picture lies."""

import pandas as pd

from hgld.hierarchy.errors import HgldError
from hgld.hierarchy.images import index_tar
from hgld.hierarchy.params import Params
from hgld.hierarchy.schemas import validated
from hgld.hierarchy.tables import write_parquet
from hgld.pipeline.fetch import Source, fetch_verified


def run(params: Params) -> None:
    """Fetch the tars that params ask for into `data/P/images` and write `images.parquet` beside them.

    A tar that is already there with its published MD5 is not fetched again. Nothing is extracted.

    Raises HgldError when a tar is damaged or an image stands in two of them.
    """
    settings = params.images
    source = Source(settings.source, settings.timeout_s, settings.retries)
    parts = []
    for split, count in (("train", settings.train), ("index", settings.index), ("test", settings.test)):
        for number in range(count):
            name = f"{split}/images_{number:03d}.tar"
            tar = params.data / "images" / name
            fetch_verified(source, name, tar, require_md5=True)
            parts.append(index_tar(tar, split))
    if not parts:
        raise HgldError(
            "params ask for no tar (images.train, images.index and images.test are 0): nothing to do"
        )
    index = pd.concat(parts).sort_values("id", kind="stable", ignore_index=True)
    write_parquet(validated(index, "images", "the tars' index"), params.data / "images" / "images.parquet")
    print(f"{len(parts)} tars, {len(index):,} images")
