"""Stage `images`: GLDv2's tars of pictures, verified, and an index of where in them each picture lies."""

from collections.abc import Mapping

import pandas as pd

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.settings import Params
from hgld.foundation.tables import write_csv, write_parquet
from hgld.foundation.tar_images import no_images
from hgld.pipeline.acquisition.download_files import Wanted, fetch_all
from hgld.pipeline.acquisition.lock import alone
from hgld.pipeline.acquisition.source import Source
from hgld.pipeline.acquisition.tar_index import FAULTS, Scan, scan_tar
from hgld.pipeline.dataset.schemas import validated


def run(params: Params, accept: Mapping[str, str] | None = None) -> None:
    """Fetch the tars that params ask for into `data/P/images`; write `images.parquet` and `faults.csv` beside them.

    A tar that is already there with its published MD5 is not fetched again. Nothing is extracted. What is wrong with
    single members of a tar is in `faults.csv` and stops nothing. Where no tar is asked for the index has no row.
    accept: file → the MD5 that it may have beside the published one.

    Raises HgldError when a tar cannot be had or is damaged.
    """
    settings = params.images
    source = Source(settings.source, settings.timeout_s, settings.retries, settings.parallel)
    folder = params.data / "images"
    wanted = [Wanted(name, folder / name) for name in tar_names(params)]
    with alone(folder):
        entries = fetch_all(source, wanted, folder, require_md5=True, accept=accept)
        scans, damaged = [], []
        for one in wanted:
            try:
                scans.append(scan_tar(one.target, one.target.parent.name))
            except HgldError as error:
                which = "published" if entries[one.name].verified else "accepted"
                damaged.append(
                    f"{error}: it has the {which} MD5, so it is damaged at the source, {source.place(one.name)}, "
                    f"and to fetch it again will not help; put a whole one there, or do without it: params.yaml, "
                    f"{params.profile}.images.leave_out: [{one.name}]"
                )
        if damaged:
            raise HgldError("\n".join(damaged))
        index, faults = merged(scans)
        if wanted and index.empty:
            raise HgldError(
                f"none of the {len(wanted)} tars holds a picture; is {source.base} the right source?"
            )
        write_parquet(validated(index, "images", "the tars' index"), folder / "images.parquet")
        write_csv(faults, folder / "faults.csv")
    if not wanted:
        print(f"no tar is asked for (params.yaml: {params.profile}.images): the labels do without images")
        return
    print(f"{len(wanted)} tars, {len(index):,} images, {len(faults):,} faults")
    for fault in faults.head(10).itertuples():
        print(f"  {fault.tar}: {fault.member}: {fault.fault}")
    if len(faults) > 10:
        print(f"  … all in {folder / 'faults.csv'}")


def tar_names(params: Params) -> list[str]:
    """The tars that params ask for, such as `train/images_000.tar`.

    Raises HgldError when one to leave out is not among them.
    """
    settings = params.images
    names = [
        f"{split}/images_{number:03d}.tar"
        for split, count in (("train", settings.train), ("index", settings.index), ("test", settings.test))
        for number in range(count)
    ]
    for name in settings.leave_out:
        if name not in names:
            raise HgldError(
                f"params.yaml: {params.profile}.images.leave_out: no tar '{name}' is asked for{suggest(name, names)}"
            )
    return [name for name in names if name not in settings.leave_out]


def merged(scans: list[Scan]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All images sorted by id, and all faults sorted by tar; an id in two tars is the first one's, and a fault."""
    index = pd.concat([scan.images for scan in scans if len(scan.images)] or [no_images()])
    twice = index["id"].duplicated()
    again = pd.DataFrame({
        "tar": index["tar"][twice],
        "member": index["id"][twice] + ".jpg",
        "fault": "an id that an earlier tar has; left out",
    }, columns=FAULTS)  # fmt: skip
    faults = pd.concat(
        [frame for frame in (*(scan.faults for scan in scans), again) if len(frame)] or [again]
    )
    return (
        index[~twice].sort_values("id", kind="stable", ignore_index=True),
        faults.sort_values(FAULTS, kind="stable", ignore_index=True),
    )
