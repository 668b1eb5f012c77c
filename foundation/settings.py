"""params.yaml: per profile one section for each stage; an unknown key is an error with a suggestion."""

import datetime
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.text_input import read_yaml, whole_number
from hgld.foundation.train_settings import MAX_DIM as MAX_DIM
from hgld.foundation.train_settings import MAX_IMAGE_SIZE as MAX_IMAGE_SIZE
from hgld.foundation.train_settings import STATED, Section
from hgld.foundation.train_settings import LossTerm as LossTerm
from hgld.foundation.train_settings import Train as Train

# Of a profile, which is also the name of a folder.
_PROFILE = re.compile(r"\w[\w.-]{0,63}")
_MAX_PROCESSES = 100_000
# The most characters of a value that a message quotes.
_MAX_SHOWN = 100


def _written_as(pattern: str, expected: str) -> AfterValidator:
    """Accepts texts that match the pattern as a whole; expected: what messages say."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"expected {expected}")
        return value

    return AfterValidator(check)


def _day_or_empty(value: str) -> str:
    if value and not _is_day(value):
        raise ValueError('expected the day of publication in quotes, such as "2026-01-31"')
    return value


def _is_day(value: str) -> bool:
    try:
        return datetime.date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


class Download(Section):
    """The source of the metadata: an https base URL or a local folder in GLDv2's layout; and how to fetch it."""

    source: str = Field(description="an https base URL, or a local folder in GLDv2's layout")
    require_md5: bool = Field(description="refuse a file whose MD5 is not published")
    optional: list[str] = Field(description="tables that the source may lack; they are then empty")
    timeout_s: float = Field(
        gt=0, le=86_400, description="seconds without a response, or below 1 kB/s, after which to reconnect"
    )
    retries: int = Field(ge=0, le=1_000, description="consecutive attempts without progress")
    parallel: int = Field(ge=1, le=32, description="maximum number of concurrent downloads")


class Images(Section):
    """How many tars of each split to fetch, and which of them to leave out, such as train/images_017.tar."""

    source: str = Field(description="an https base URL, or a local folder in GLDv2's layout")
    train: int = Field(ge=0, le=500, description="number of tars of train")
    index: int = Field(ge=0, le=100, description="number of tars of index")
    test: int = Field(ge=0, le=20, description="number of tars of test")
    leave_out: list[str] = Field(description="tars to skip, such as train/images_017.tar")
    timeout_s: float = Field(
        gt=0, le=86_400, description="seconds without a response, or below 1 kB/s, after which to reconnect"
    )
    retries: int = Field(ge=0, le=1_000, description="consecutive attempts without progress")
    parallel: int = Field(ge=1, le=32, description="maximum number of concurrent downloads")


class Wikidata(Section):
    """The SPARQL endpoint, or the folder of Turtle files for a local one; and how to query it."""

    endpoint: str | None = Field(description="address of the SPARQL endpoint; null: serve `facts` on this machine")
    facts: str | None = Field(description="folder of Turtle files for a local endpoint")
    user_agent: str = Field(description="sent with each request; public endpoints ask for a contact address")
    batch: int = Field(ge=1, le=10_000, description="maximum number of keys per query")
    in_flight: int = Field(ge=1, le=32, description="maximum number of concurrent requests")
    timeout_s: float = Field(gt=0, le=86_400, description="seconds until a query counts as timed out")
    retries: int = Field(ge=0, le=1_000, description="attempts after a temporary error")
    pause_s: float = Field(ge=0, le=3_600, description="minimum time between the starts of two requests")
    canary: Mapping[Literal["P31", "P279", "P373", "sitelink"], Annotated[int, Field(ge=0, le=10**12)]] = Field(
        description="minimum number of statements of each property; an endpoint with fewer is refused"
    )
    soft_redirects: str | None = Field(
        description="a CSV of category,target: the Commons pages with {{Category redirect}}"
    )


class Build(Section):
    """The curated files that cut the class graph into labels."""

    taxonomy: str = Field(description="folder of the curated files")


class Embed(Section):
    """The CLIP model (open_clip's names), its prompts, and how many images of a landmark to embed."""

    model: str = Field(description="name of the CLIP model")
    pretrained: str = Field(description="a tag of open_clip, or a file")
    model_config_file: str | None = Field(description="JSON of a model that open_clip does not know")
    prompts: list[str] = Field(min_length=1, description="texts for a label, which stands in place of {}")
    images_per_landmark: int = Field(ge=1, le=100_000, description="most images to embed of a landmark")
    batch: int = Field(ge=1, le=65_536, description="images embedded at a time")
    threads: int = Field(ge=1, le=1_024, description="threads that decode images, and of torch")
    max_broken: float = Field(0.5, ge=0, le=1, description="fraction of the images that may be unreadable")


class Refine(Section):
    """From evidence to one proposal per landmark; it is accepted when score and margin reach their thresholds."""

    method: str = Field(
        description="all evidence fused, one kind alone, or a published method (clip: argmax and vote; knn)"
    )
    neighbours: int = Field(ge=1, le=100_000, description="k of method knn")
    temperature: float = Field(ge=1e-4, le=100, description="of the softmax over similarities to the prompts")
    accept_score: float = Field(ge=0, le=1, description="least score of a label without a review")
    accept_margin: float = Field(ge=0, le=1, description="least lead over the second label, likewise")
    review_score: float = Field(ge=0, le=1, description="below it a proposal is not reviewed: the label stays empty")
    truth: str | None = Field(description="a CSV of category,drawn_as, used only to measure the proposals")


class Queue(Section):
    """The review queue: size and seed of the random control sample of accepted proposals, and what is judged twice."""

    control: int = Field(ge=0, le=10_000_000, description="accepted proposals in the random sample that is reviewed")
    overlap: float = Field(0.1, ge=0, le=1, description="fraction of the queue that every annotator gets")
    seed: int = Field(ge=0, lt=2**63, description="of the random choices")


class Release(Section):
    """Name and version of the release, whose verdicts it applies, and what its README.md says about its publication."""

    name: Annotated[
        str,
        _written_as(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "a file name of at most 64 letters, digits, '.', '_' and '-'"),
    ] = Field(description="of the release, in file names and citations")
    version: Annotated[
        str,
        _written_as(
            r"(0|[1-9]\d{0,8})(\.(0|[1-9]\d{0,8})){1,2}", 'MAJOR.MINOR or MAJOR.MINOR.PATCH in quotes, such as "1.0"'
        ),
    ] = Field(description="a label that moves is a new minor version, another format a new major one")
    note: str = Field("", description="a sentence that README.md says after its summary")
    homepage: Annotated[str, _written_as(r"(https?://[^\s<>\"]+)?", "an address that begins with https://")] = Field(
        "", description="where the release is published"
    )
    date: Annotated[str, AfterValidator(_day_or_empty)] = Field("", description="day of publication, 2026-01-31")
    verdicts_from: list[str] = Field([], description="other profiles whose verdicts count here too")
    adjudicators: list[str] = Field([], description="annotators whose verdicts decide where others disagree")


class Benchmark(Section):
    """The metrics, and the gallery of the report."""

    metrics: list[str] = Field(min_length=1, description="names as in docs/metrics.md")
    gallery_queries: int = Field(ge=0, le=10_000, description="queries that the report shows with their nearest images")
    batch: int = Field(ge=1, le=65_536, description="images embedded at a time")
    threads: int = Field(ge=1, le=1_024, description="threads that decode images, and of torch")
    seed: int = Field(ge=0, lt=2**63, description="of the shuffled labels of chance")
    max_broken: float = Field(0.1, ge=0, le=1, description="fraction of each role's images that may be unreadable")


class Params(Section):
    """All sections of one profile."""

    profile: str
    download: Download
    images: Images
    wikidata: Wikidata
    build: Build
    embed: Embed
    refine: Refine
    queue: Queue
    release: Release
    train: Train
    benchmark: Benchmark

    @property
    def data(self) -> Path:
        """The folder to which the stages of this profile write."""
        return Path("data") / self.profile

    @property
    def verdict_profiles(self) -> frozenset[str]:
        """The profiles whose verdicts count: this one, and those of release.verdicts_from."""
        return frozenset({self.profile, *self.release.verdicts_from})


def load_params(path: Path = Path("params.yaml"), profile: str | None = None) -> Params:
    """The settings of one profile: `profile`, or else the one that the file selects.

    Raises HgldError for every unknown, missing or invalid key, with its path and the closest known key.
    """
    document = _read_yaml(Path(path))
    _check_keys(document, f"{path}")
    default = document.pop("profile", None)
    chosen = default if profile is None else profile
    if not isinstance(chosen, str) or chosen not in document:
        hint = suggest(chosen, document) if isinstance(chosen, str) else ""
        raise HgldError(f"{path}: no profile {_shown(chosen)} (there are: {visible(', '.join(document))}){hint}")
    if not _PROFILE.fullmatch(chosen):
        raise HgldError(
            f"{path}: {_shown(chosen)} is no name for a profile: it names a folder of data/ and of sources/; "
            "expected at most 64 letters, digits, '_', '-' and '.', the first a letter, a digit or '_'"
        )
    section = document[chosen]
    if not isinstance(section, dict):
        raise HgldError(f"{path}: {visible(chosen)}: expected one section per stage, found {_shown(section)}")
    _check_keys(section, f"{path}: {chosen}")
    try:
        params = Params(profile=chosen, **section)
    except ValidationError as error:
        raise HgldError(*(_explain(path, chosen, details) for details in error.errors())) from None
    except TypeError:
        raise HgldError(f"{path}: {chosen}: unknown key 'profile'; move it to the top level of the file") from None
    if missing := sorted(STATED - params.train.model_fields_set):
        raise HgldError(*(f"{path}: {chosen}.train.{name}: missing; add it" for name in missing))
    return params


def params_here(profile: str | None = None, path: Path = Path("params.yaml")) -> Params | None:
    """The settings of one profile, as `load_params`; None in a folder without a params.yaml of hgld.

    The name is DVC's: a params.yaml without a key `profile` belongs to another project, and counts as none.
    """
    if profile is None:
        document = _read_yaml(path) if os.path.lexists(path) else {}
        if "profile" not in document:
            return None
    return load_params(path, profile)


def profiles(path: Path = Path("params.yaml")) -> list[str]:
    """The names of the profiles, in file order."""
    document = _read_yaml(Path(path))
    _check_keys(document, f"{path}")
    return [name for name in document if name != "profile"]


def torchrun_variables() -> tuple[int, int, int]:
    """RANK, WORLD_SIZE and LOCAL_RANK, the environment variables of torchrun; (0, 1, 0) without it.

    Raises HgldError when they are not numbers that fit together.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    values = [os.environ.get(name, default) for name, default in zip(names, "010", strict=True)]
    rank, world, local = map(whole_number, values)
    if rank is None or world is None or local is None or not max(rank, local) < world <= _MAX_PROCESSES:
        shown = ", ".join(f"{name}={value[:40]}" for name, value in zip(names, values, strict=True))
        raise HgldError(
            f"{shown}: expected numbers from 0 to WORLD_SIZE - 1, as torchrun sets them; unset them without it"
        )
    return rank, world, local


def _check_keys(section: dict[str, object], where: str) -> None:
    """Raise HgldError for a key that YAML reads as something other than text, such as 5 or true."""
    for key in section:
        if not isinstance(key, str):
            raise HgldError(f"{where}: expected names as keys, found {_shown(key)}; correct or quote it")


def _read_yaml(path: Path) -> dict[str, object]:
    if not os.path.lexists(path):
        raise HgldError(f"no {path} here; run hgld in the root of the repository")
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise HgldError(f"{path}: expected profiles with one section per stage, found {type(document).__name__}")
    return document


def _shown(value: object) -> str:
    """A value of the file as a message quotes it."""
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number that is too large"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _explain(path: Path, profile: str, error: ErrorDetails) -> str:
    """One validation error as a message."""
    keys = [str(part) for part in error["loc"]]
    profile, where = visible(profile), visible(f"{path}: {profile}.{'.'.join(keys)}")
    if error["type"] == "extra_forbidden":
        hint = suggest(keys[-1], _known(keys[:-1]))
        return f"{path}: unknown key {keys[-1]!r} in {'.'.join([profile, *keys[:-1]])}{hint}"
    if error["type"] == "missing":
        return f"{where}: missing; add it"
    return f"{where}: {error['msg']}; found {_shown(error['input'])}"


def train_settings(values: Mapping[str, object], where: str) -> Train:
    """The settings of a training outside params.yaml. Raises HgldError, in the words of `load_params`."""
    try:
        return Train(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        raise HgldError(*(_explain_train(where, details) for details in error.errors())) from None


def _explain_train(where: str, error: ErrorDetails) -> str:
    """One validation error of a run file as a message."""
    keys = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        inside = f" in {'.'.join(keys[:-1])}" if keys[:-1] else ""
        return f"{where}: unknown key {keys[-1]!r}{inside}{suggest(keys[-1], _known(['train', *keys[:-1]]))}"
    if error["type"] == "missing":
        return f"{where}: {'.'.join(keys)}: missing; add it"
    return f"{where}: {'.'.join(keys)}: {error['msg']}; found {_shown(error['input'])}"


def _known(keys: list[str]) -> list[str]:
    """The known keys of the section at the path `keys`."""
    model: type[BaseModel] = Params
    for key in keys:
        if key.isdigit():
            continue
        annotation = model.model_fields[key].annotation if key in model.model_fields else None
        types = [annotation, *getattr(annotation, "__args__", ())]
        models = [type_ for type_ in types if isinstance(type_, type) and issubclass(type_, BaseModel)]
        if not models:
            return []
        model = models[0]
    return [name for name in model.model_fields if name != "profile"]
