"""params.yaml: per profile one section for each stage; an unknown key is an error with a suggestion."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from hgld.foundation.errors import HgldError, suggest


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Download(_Section):
    """The source of the metadata: an https base URL or a local folder in GLDv2's layout; and how to fetch it."""

    source: str
    require_md5: bool = Field(description="refuse a file whose MD5 is not published")
    optional: list[str] = Field(description="tables that the source may lack; they are then empty")
    timeout_s: float = Field(gt=0)
    retries: int = Field(ge=0)
    parallel: int = Field(ge=1, le=32)


class Images(_Section):
    """How many tars of each split to fetch, and which of them to leave out, such as train/images_017.tar."""

    source: str
    train: int = Field(ge=0, le=500)
    index: int = Field(ge=0, le=100)
    test: int = Field(ge=0, le=20)
    leave_out: list[str]
    timeout_s: float = Field(gt=0)
    retries: int = Field(ge=0)
    parallel: int = Field(ge=1, le=32)


class Wikidata(_Section):
    """The SPARQL endpoint, or the folder of Turtle files for a local one; and how to query it."""

    endpoint: str | None
    facts: str | None
    user_agent: str
    batch: int = Field(ge=1, description="maximum number of keys per query")
    in_flight: int = Field(ge=1, le=32, description="maximum number of concurrent requests")
    timeout_s: float = Field(gt=0)
    retries: int = Field(ge=0)
    pause_s: float = Field(ge=0, description="minimum time between the starts of two requests")
    canary: Mapping[Literal["P31", "P279", "P373", "sitelink"], int] = Field(
        description="minimum number of statements of each property; an endpoint with fewer is refused"
    )
    soft_redirects: str | None = Field(
        description="a CSV of category,target: the Commons pages with {{Category redirect}}"
    )


class Build(_Section):
    """The curated files that cut the class graph into labels."""

    taxonomy: str


class Embed(_Section):
    """The CLIP model (open_clip's names), its prompts, and how many images of a landmark to embed."""

    model: str
    pretrained: str
    model_config_file: str | None
    prompts: list[str] = Field(min_length=1)
    images_per_landmark: int = Field(ge=1)
    batch: int = Field(ge=1)
    threads: int = Field(ge=1)


class Refine(_Section):
    """From evidence to one proposal per landmark; it is accepted when score and margin reach their thresholds."""

    method: str = Field(
        description="all evidence fused, one kind alone, or a published method (clip: argmax and vote; knn)"
    )
    neighbours: int = Field(ge=1, description="k of method knn")
    temperature: float = Field(gt=0)
    accept_score: float = Field(ge=0, le=1)
    accept_margin: float = Field(ge=0, le=1)
    review_score: float = Field(ge=0, le=1, description="below it a proposal is not reviewed: the label stays empty")
    truth: str | None = Field(description="a CSV of category,drawn_as, used only to measure the proposals")


class Queue(_Section):
    """The review queue: size and seed of the random control sample of accepted proposals."""

    control: int = Field(ge=0)
    seed: int = Field(ge=0, lt=2**63)


class Release(_Section):
    """Name and version of the release."""

    name: str
    version: str


class LossTerm(_Section):
    """One term of the training loss: its name in LOSSES, its weight and its settings."""

    name: str
    weight: float = Field(gt=0)
    settings: dict[str, bool | float | int | str | list[float] | list[int] | None] = {}


class Train(_Section):
    """The network, the loss, and the schedule."""

    backbone: str
    pretrained: bool
    dim: int = Field(ge=2)
    pooling: Literal["gem", "avg"]
    image_size: int = Field(ge=16)
    levels: list[str] = Field(min_length=1)
    clean_only: bool
    loss: list[LossTerm] = Field(min_length=1)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    per_class: int = Field(ge=1)
    together: bool = Field(False, description="fill half of each batch with landmarks of one label (hard negatives)")
    chunk: int = Field(0, ge=0, description="gradient caching: images per forward pass; 0: the whole batch")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the network; losses use float32")
    memory: int = Field(0, ge=0, description="XBM: number of past embeddings in the gallery; 0: none")
    memory_from: int = Field(1, ge=1, description="the first epoch in which the memory is used")
    pos_mixup: bool = Field(False, description="add mixtures of positives to the gallery")
    lr: float = Field(gt=0)
    proxy_lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup_epochs: int = Field(ge=0)
    seed: int = Field(ge=0, lt=2**63)
    threads: int = Field(ge=1)


class Benchmark(_Section):
    """The metrics, and the gallery of the report."""

    metrics: list[str] = Field(min_length=1)
    gallery_queries: int = Field(ge=0)
    batch: int = Field(ge=1)
    threads: int = Field(ge=1)
    seed: int = Field(ge=0, lt=2**63)


class Params(_Section):
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


def load_params(path: Path = Path("params.yaml"), profile: str | None = None) -> Params:
    """The settings of one profile: `profile`, or else the one that the file selects.

    Raises HgldError for every unknown, missing or invalid key, with its path and the closest known key.
    """
    document = _read_yaml(Path(path))
    _check_keys(document, f"{path}")
    default = document.pop("profile", None)
    chosen = default if profile is None else profile
    if not isinstance(chosen, str) or chosen not in document:
        hint = suggest(str(chosen), document)
        raise HgldError(f"{path}: no profile '{chosen}' (there are: {', '.join(document)}){hint}")
    section = document[chosen]
    if not isinstance(section, dict):
        raise HgldError(f"{path}: {chosen}: expected one section per stage, found {section!r}")
    _check_keys(section, f"{path}: {chosen}")
    try:
        return Params(profile=chosen, **section)
    except ValidationError as error:
        raise HgldError("\n".join(_explain(path, chosen, details) for details in error.errors())) from None
    except TypeError:
        raise HgldError(f"{path}: {chosen}: unknown key 'profile'; move it to the top level of the file") from None


def profiles(path: Path = Path("params.yaml")) -> list[str]:
    """The names of the profiles, in file order."""
    document = _read_yaml(Path(path))
    _check_keys(document, f"{path}")
    return [name for name in document if name != "profile"]


def _check_keys(section: dict[str, object], where: str) -> None:
    """Raise HgldError for a key that YAML reads as something other than text, such as 5 or true."""
    for key in section:
        if not isinstance(key, str):
            raise HgldError(f"{where}: expected names as keys, found {key!r}; correct or quote it")


def _read_yaml(path: Path) -> dict[str, object]:
    # ruamel, as DVC: PyYAML reads 1e-4 as text
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise HgldError(f"no {path} here; run hgld in the root of the repository") from None
    except OSError as error:
        raise HgldError(f"{path}: cannot be read: {error.strerror}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise HgldError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise HgldError(f"{path}: expected profiles with one section per stage, found {type(document).__name__}")
    return document


def _explain(path: Path, profile: str, error: ErrorDetails) -> str:
    """One validation error as a message."""
    keys = [str(part) for part in error["loc"]]
    where = f"{path}: {profile}.{'.'.join(keys)}"
    if error["type"] == "extra_forbidden":
        hint = suggest(keys[-1], _known(keys[:-1]))
        return f"{path}: unknown key '{keys[-1]}' in {'.'.join([profile, *keys[:-1]])}{hint}"
    if error["type"] == "missing":
        return f"{where}: missing; add it"
    return f"{where}: {error['msg']}; found {error['input']!r}"


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
