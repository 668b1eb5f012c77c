"""Stage `images`: GLDv2's image tars, verified, and an index of the images in them."""

from collections.abc import Mapping

import pandas as pd

from hgld.foundation.display.visible import echo, visible
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.lock import exclusive
from hgld.foundation.settings import Params
from hgld.foundation.tables import write_csv, write_parquet
from hgld.foundation.tar_images import empty_index
from hgld.pipeline.acquisition.download_files import Download, fetch_all
from hgld.pipeline.acquisition.manifest import Entry
from hgld.pipeline.acquisition.source import Source
from hgld.pipeline.acquisition.tar_index import FAULT_COLUMNS, Scan, scan_tar
from hgld.pipeline.dataset.schemas import validated


def run(params: Params, accept: Mapping[str, str] | None = None) -> None:
    """Download the tars selected in params.yaml to `data/P/images`; write images.parquet, faults.csv and tars.csv.

    A tar that is already there with its published MD5 is not downloaded again. Nothing is extracted. Invalid members
    of a tar are listed in faults.csv and otherwise ignored. If no tar is selected, the index has no rows.
    accept: file → an MD5 accepted besides the published one.

    Raises HgldError when a tar cannot be downloaded or is damaged.
    """
    settings = params.images
    source = Source(settings.source, settings.timeout_s, settings.retries, settings.parallel)
    folder = params.data / "images"
    requested = [Download(name, folder / name) for name in tar_names(params)]
    with exclusive(folder):
        entries = fetch_all(source, requested, folder, require_md5=True, accept=accept)
        scans, damaged = [], []
        for tar in requested:
            try:
                scans.append(scan_tar(tar.target, tar.target.parent.name))
            except HgldError as error:
                which = "published" if entries[tar.name].verified else "accepted"
                damaged.append(
                    f"{error}: its MD5 is the {which} one, so {source.location(tar.name)} itself is damaged, "
                    f"and downloading it again will not help; replace it there, or skip it: params.yaml, "
                    f"{params.profile}.images.leave_out: [{tar.name}]"
                )
        if damaged:
            raise HgldError(*damaged)
        index, faults = merged(scans)
        if requested and index.empty:
            raise HgldError(f"{source.base}: none of the {len(requested)} tars contains an image; check images.source")
        write_csv(checksums(entries), folder / "tars.csv")
        write_parquet(validated(index, "images", "the tars' index"), folder / "images.parquet")
        write_csv(faults, folder / "faults.csv")
    if not requested:
        echo(f"params.yaml: {params.profile}.images selects no tar; labels are made without images")
        return
    echo(f"{len(requested)} tars, {len(index):,} images, {len(faults):,} faults")
    for fault in faults.head(10).itertuples():
        echo(f"  {fault.tar}: {visible(str(fault.member))}: {fault.fault}")
    if len(faults) > 10:
        echo(f"  … all in {folder / 'faults.csv'}")


def checksums(entries: Mapping[str, Entry]) -> pd.DataFrame:
    """One row per tar: its size and SHA-256, on which later stages depend instead of the tars themselves."""
    rows = [(entry.file, entry.bytes, entry.sha256) for _, entry in sorted(entries.items())]
    return pd.DataFrame(rows, columns=["tar", "bytes", "sha256"])


def tar_names(params: Params) -> list[str]:
    """The tars selected in params.yaml, such as `train/images_000.tar`.

    Raises HgldError when `leave_out` names a tar that is not selected.
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
                f"params.yaml: {params.profile}.images.leave_out: tar '{name}' is not selected{suggest(name, names)}"
            )
    return [name for name in names if name not in settings.leave_out]


def merged(scans: list[Scan]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All images sorted by id, and all faults sorted by tar; of duplicate ids all but the first are faults."""
    index = pd.concat([scan.images for scan in scans if len(scan.images)] or [empty_index()])
    repeated = index["id"].duplicated()
    duplicates = pd.DataFrame({
        "tar": index["tar"][repeated],
        "member": index["id"][repeated] + ".jpg",
        "fault": "an id that an earlier tar has; left out",
    }, columns=FAULT_COLUMNS)  # fmt: skip
    faults = pd.concat(
        [frame for frame in (*(scan.faults for scan in scans), duplicates) if len(frame)] or [duplicates]
    )
    return (
        index[~repeated].sort_values("id", kind="stable", ignore_index=True),
        faults.sort_values(FAULT_COLUMNS, kind="stable", ignore_index=True),
    )
