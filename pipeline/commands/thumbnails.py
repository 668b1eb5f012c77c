"""`hgld thumbnails`: pictures of the landmarks in the queue whose image tars are not on this machine."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from tqdm import tqdm

from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError
from hgld.foundation.lock import exclusive
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_csv, read_parquet
from hgld.foundation.tar_images import UnreadableImageError, decode
from hgld.pipeline.acquisition.thumbnails import (
    COMMONS,
    FORMATS,
    PARALLEL,
    WIDTHS,
    Budget,
    Fetched,
    ThumbnailClient,
    thumbnail_url,
    utc_day,
)
from hgld.pipeline.dataset.attribution import Attributions
from hgld.pipeline.dataset.landmarks import landmark_table
from hgld.pipeline.dataset.schemas import read_stage_table
from hgld.pipeline.dataset.thumbnail_folder import Thumbnail, ThumbnailFolder
from hgld.pipeline.sparql.endpoint_policy import check_endpoint
from hgld.pipeline.stages.queue import COLUMNS

# Then it is the network that fails, or a proxy or a login page that answers.
_MAX_CONSECUTIVE_FAILURES = 10


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to fetch, and how.

    per_landmark: the most pictures of one landmark; width: one of WIDTHS; budget: the most requests per UTC day;
    pause_s: between two requests; again: also what was missing or broken in an earlier run; today: the UTC day.
    """

    user_agent: str
    per_landmark: int = 8
    width: int = 500
    budget: int = 2000
    pause_s: float = 0.5
    again: bool = False
    base_url: str = COMMONS
    retries: int = 3
    timeout_s: float = 30.0
    today: Callable[[], str] = utc_day


class _Plan(NamedTuple):
    """Image id → URL: those to fetch, and those that are passed over as they are not on Wikimedia Commons."""

    wanted: dict[str, str]
    skipped: dict[str, str]


def thumbnails(params: Params, request: Request) -> None:
    """Fetch pictures into data/P/thumbnails, and record them in its manifest.csv.

    Raises HgldError for a width that Wikimedia does not offer, a user agent without a contact address, no queue, and
    when the server refuses or throttles; what was fetched is kept.
    """
    if request.width not in WIDTHS:
        raise HgldError(f"--width {request.width}: Wikimedia has thumbnails of {', '.join(map(str, WIDTHS))} pixels")
    check_endpoint(request.base_url, request.user_agent)
    with exclusive(params.data / "thumbnails"):
        folder = ThumbnailFolder(params)
        plan = _plan(params, request, folder)
        run = _Run(params, request, folder, plan.wanted)
        run.skip(plan.skipped)
        try:
            run.fetch_all()
        finally:
            folder.save()
            echo(run.summary())
    if run.problem:
        raise HgldError(run.problem)


def _plan(params: Params, request: Request, folder: ThumbnailFolder) -> _Plan:
    """The first images of each landmark by id, which is a hash, without those that are there or cannot be had."""
    plan = _Plan({}, {})
    on_disk = _ids_in_tars(params)
    final = set() if request.again else {"missing", "broken"}
    for images in _images_of_landmarks(params):
        present = sum(image_id in on_disk for image_id in images)
        for image_id, url in images.items():
            row = folder.get(image_id)
            if present >= request.per_landmark:
                break
            if image_id in on_disk or (row and row.status in final):
                continue
            if thumbnail_url(url, request.width) is None:
                plan.skipped[image_id] = url
                continue
            present += 1
            if not (row and row.status == "ok" and folder.picture(image_id).is_file()):
                plan.wanted[image_id] = url
    return plan


def _images_of_landmarks(params: Params) -> list[dict[str, str]]:
    """Image id → URL of each landmark of train that is in the queue, in the order of the queue."""
    path = params.data / "queue" / "queue.csv"
    if not path.is_file():
        raise HgldError(f"no queue {path}; run the stage that makes it: dvc repro queue")
    landmarks = landmark_table(params, "train").groupby("category")["landmark_id"].agg(list).to_dict()
    queued = [landmark for name in read_csv(path, COLUMNS)["category"] for landmark in landmarks.get(name, [])]
    images = read_stage_table(params.data / "metadata" / "train.parquet")
    images = images[images["landmark_id"].isin(queued)].sort_values("id")
    groups = {str(name): group for name, group in images.groupby("landmark_id")}
    found = [groups[landmark] for landmark in dict.fromkeys(queued) if landmark in groups]
    return [dict(zip(group["id"], group["url"], strict=True)) for group in found]


def _ids_in_tars(params: Params) -> set[str]:
    """The images in the tars that are on disk: a tar may have been deleted after it was indexed."""
    folder = params.data / "images"
    if not (folder / "images.parquet").is_file():
        return set()
    index = read_parquet(folder / "images.parquet", ["id", "split", "tar"])
    index = index[index["split"] == "train"]
    there = [tar for tar in index["tar"].unique() if (folder / str(tar)).is_file()]
    return set(index.loc[index["tar"].isin(there), "id"])


class _Run:
    """One run: the images are fetched by PARALLEL threads and recorded as they arrive."""

    def __init__(self, params: Params, request: Request, folder: ThumbnailFolder, wanted: dict[str, str]) -> None:
        self._folder, self._wanted, self._width = folder, wanted, request.width
        self._today = request.today
        self._credits = Attributions(params, ["author", "title", "license"]).of(wanted)
        self._client = ThumbnailClient(
            request.user_agent, Budget(request.budget, folder.requests(), request.today), base_url=request.base_url,
            pause_s=request.pause_s, retries=request.retries, timeout_s=request.timeout_s,
        )  # fmt: skip
        self._counts, self._failures, self._lock = Counter[str](), 0, threading.Lock()
        self.problem = ""

    def skip(self, images: dict[str, str]) -> None:
        """Record images that are not on Wikimedia Commons."""
        rows = [Thumbnail(image_id, url, 0, 0, "", "skipped", "") for image_id, url in images.items()]
        self._counts["skipped"] = len(rows)
        if new := [row for row in rows if self._folder.get(row.id) != row]:
            self._folder.add(*new)

    def fetch_all(self) -> None:
        """Fetch the images, until the budget is spent or the server refuses or throttles (`problem`)."""
        with (
            tqdm(total=len(self._wanted), unit="image", desc="thumbnails", disable=None) as bar,
            ThreadPoolExecutor(PARALLEL) as pool,
        ):
            try:
                for status in pool.map(self._one, self._wanted):
                    self._counts[status] += 1
                    bar.update(status != "unfinished")
            except BaseException:
                self._client.limiter.stop()
                pool.shutdown(cancel_futures=True)
                raise

    def _one(self, image_id: str) -> str:
        """Fetch, store and record one image; its status."""
        if row := self._recovered(image_id):
            self._folder.add(row)
            return row.status
        fetched = self._client.fetch(self._wanted[image_id], self._width)
        if fetched.status == "ok":
            self._folder.store(image_id, fetched.data)
        if fetched.requests:
            self._folder.add(self._row(image_id, fetched))
        self._watch(fetched)
        return fetched.status

    def _recovered(self, image_id: str) -> Thumbnail | None:
        """The row of a picture that a killed run stored but did not record."""
        path = self._folder.picture(image_id)
        row = self._folder.get(image_id)
        if not path.is_file() or (row and row.status == "ok"):
            return None
        data = path.read_bytes()
        try:
            width = decode(data, FORMATS).width
        except UnreadableImageError:
            return None
        url = thumbnail_url(self._wanted[image_id], width if width in WIDTHS else self._width) or ""
        day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
        return self._row(image_id, Fetched("ok", url, width, 1, data), day)

    def _row(self, image_id: str, fetched: Fetched, day: str = "") -> Thumbnail:
        day, previous = day or self._today(), self._folder.get(image_id)
        earlier = previous.requests if previous and previous.fetched_on == day else 0
        digest = hashlib.md5(fetched.data, usedforsecurity=False).hexdigest() if fetched.data else ""
        return Thumbnail(
            image_id, fetched.url, fetched.width, len(fetched.data), digest, fetched.status, day,
            **self._credits.get(image_id, {}), requests=fetched.requests + earlier,
        )  # fmt: skip

    def _watch(self, fetched: Fetched) -> None:
        """Stop the run when the server refuses or throttles this client, or when image after image fails."""
        with self._lock:
            self._failures = self._failures + 1 if fetched.fault else 0
            many = self._failures >= _MAX_CONSECUTIVE_FAILURES
            if (fetched.fatal or many) and not self.problem:
                self.problem = fetched.fault + (
                    f" ({self._failures} failures in a row; a proxy or a login page may be answering)" if many else ""
                )
                self._client.limiter.stop()

    def summary(self) -> str:
        """How many images came to what end."""
        counts = self._counts
        left = len(self._wanted) - sum(counts[status] for status in ("ok", "missing", "broken"))
        when = "tomorrow" if self._client.budget.spent else "the next run"
        return (
            f"{counts['ok']} fetched, {counts['missing']} missing, {counts['broken']} broken, {counts['skipped']} "
            f"skipped (not on Wikimedia Commons), {left} left for {when}"
        )
