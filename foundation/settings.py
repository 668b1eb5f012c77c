"""params.yaml: one section a stage, for each profile; a mistyped key is an error with a suggestion."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hgld.foundation.errors import HgldError, suggest

Share = float


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Download(_Section):
    """Where the metadata come from: an https base URL or a local folder, in GLDv2's own layout."""

    source: str
    require_md5: bool = Field(description="refuse a file whose MD5 is not published")
    optional: list[str] = Field(description="tables that the source may lack: they are then without rows")
    timeout_s: float = Field(gt=0)
    retries: int = Field(ge=0)
    parallel: int = Field(ge=1, le=32)


class Images(_Section):
    """How many of each split's tars to fetch (0: none), and which of them not, such as train/images_017.tar."""

    source: str
    train: int = Field(ge=0, le=500)
    index: int = Field(ge=0, le=100)
    test: int = Field(ge=0, le=20)
    leave_out: list[str]
    timeout_s: float = Field(gt=0)
    retries: int = Field(ge=0)
    parallel: int = Field(ge=1, le=32)


class Wikidata(_Section):
    """The SPARQL endpoint, or the folder of Turtle files that a local server is started on; and how it is asked."""

    endpoint: str | None
    facts: str | None
    user_agent: str
    batch: int = Field(ge=1, description="most keys in a query")
    in_flight: int = Field(ge=1, le=32, description="most requests at the same time")
    timeout_s: float = Field(gt=0)
    retries: int = Field(ge=0)
    pause_s: float = Field(ge=0, description="least time between the starts of two requests")
    canary: Mapping[Literal["P31", "P279", "P373", "sitelink"], int] = Field(
        description="how many statements of each property an endpoint must hold to be trusted"
    )
    soft_redirects: str | None = Field(
        description="a CSV of category,target: pages on Commons that say {{Category redirect}}"
    )


class Build(_Section):
    """The curated files that cut the class graph into labels."""

    taxonomy: str


class Embed(_Section):
    """The CLIP model (open_clip's names), its prompts and how many images of a landmark it sees."""

    model: str
    pretrained: str
    model_config_file: str | None
    prompts: list[str] = Field(min_length=1)
    images_per_landmark: int = Field(ge=1)
    batch: int = Field(ge=1)
    threads: int = Field(ge=1)


class Refine(_Section):
    """From evidence to a proposal per landmark; one at or above both thresholds is accepted."""

    method: Literal["fused", "class", "name", "image", "clip", "knn"] = Field(
        description="all evidence fused, one alone, or a published method (clip: argmax and vote; knn)"
    )
    neighbours: int = Field(ge=1, description="of method knn")
    temperature: float = Field(gt=0)
    accept_score: Share = Field(ge=0, le=1)
    accept_margin: Share = Field(ge=0, le=1)
    review_score: Share = Field(ge=0, le=1, description="below it nobody is asked: the label stays empty")
    truth: str | None = Field(
        description="a CSV of category,drawn_as: measures the proposals, decides nothing"
    )


class Queue(_Section):
    """How much is put before the annotators: the doubtful, and a random control sample of the accepted."""

    control: int = Field(ge=0)
    seed: int = Field(ge=0, lt=2**63)


class Release(_Section):
    """What the release calls itself."""

    name: str
    version: str


class LossTerm(_Section):
    """One term of the training loss: its name in LOSSES, its weight, and its settings."""

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
    together: bool = Field(
        False, description="fill half of each batch with landmarks of one label: hard negatives"
    )
    chunk: int = Field(0, ge=0, description="gradient caching: images embedded at once; 0: the whole batch")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the network, not of the losses"
    )
    memory: int = Field(0, ge=0, description="XBM: past embeddings that join the gallery; 0: none")
    memory_from: int = Field(1, ge=1, description="the epoch from which on the memory is ranked")
    pos_mixup: bool = Field(False, description="mixtures of positives join the gallery")
    lr: float = Field(gt=0)
    proxy_lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup_epochs: int = Field(ge=0)
    seed: int = Field(ge=0, lt=2**63)
    threads: int = Field(ge=1)


class Benchmark(_Section):
    """The metrics and the gallery of the report."""

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
        """The folder that this profile's stages write to."""
        return Path("data") / self.profile


def load_params(path: Path = Path("params.yaml"), profile: str | None = None) -> Params:
    """The settings of one profile; `profile` overrides the file's own choice.

    Raises HgldError that names the file, the key and the nearest known key.
    """
    document = _read_yaml(Path(path))
    _check_keys(document, f"{path}")
    own = document.pop("profile", None)
    chosen = own if profile is None else profile
    if not isinstance(chosen, str) or chosen not in document:
        hint = suggest(str(chosen), document)
        raise HgldError(f"{path}: no profile '{chosen}' (there are: {', '.join(document)}){hint}")
    section = document[chosen]
    if not isinstance(section, dict):
        raise HgldError(f"{path}: {chosen}: expected one section a stage, found {section!r}")
    _check_keys(section, f"{path}: {chosen}")
    try:
        return Params(profile=chosen, **section)
    except ValidationError as error:
        raise HgldError("\n".join(_explain(path, chosen, one, section) for one in error.errors())) from None
    except TypeError:
        raise HgldError(
            f"{path}: {chosen}: unknown key 'profile'; it stands at the top of the file"
        ) from None


def profiles(path: Path = Path("params.yaml")) -> list[str]:
    """The names of the profiles, in the order of the file."""
    document = _read_yaml(Path(path))
    _check_keys(document, f"{path}")
    return [name for name in document if name != "profile"]


def _check_keys(section: dict[str, object], place: str) -> None:
    """Raise HgldError for a key that YAML does not take for text, such as 5 or true."""
    for key in section:
        if not isinstance(key, str):
            raise HgldError(f"{place}: expected names as keys, found {key!r}; correct it or put it in quotes")


def _read_yaml(path: Path) -> dict[str, object]:
    # ruamel, as DVC does: PyYAML reads 1e-4 as text
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise HgldError(f"no {path} here; run hgld in the root of the repository") from None
    except OSError as error:
        raise HgldError(f"{path}: cannot be read as a file of settings: {error.strerror}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise HgldError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise HgldError(
            f"{path}: expected profiles with one section a stage, found {type(document).__name__}"
        )
    return document


def _explain(path: Path, profile: str, error: object, section: dict[str, object]) -> str:
    assert isinstance(error, dict)
    keys = [str(part) for part in error["loc"]]
    place = f"{path}: {profile}.{'.'.join(keys)}"
    if error["type"] == "extra_forbidden":
        hint = suggest(keys[-1], _known(keys[:-1]))
        return f"{path}: unknown key '{keys[-1]}' in {'.'.join([profile, *keys[:-1]])}{hint}"
    if error["type"] == "missing":
        return f"{place}: missing; add it"
    return f"{place}: {error['msg']}; found {error['input']!r}"


def _known(keys: list[str]) -> list[str]:
    """The keys that may stand in the section reached by `keys`."""
    model: type[BaseModel] = Params
    for key in keys:
        if key.isdigit():
            continue
        annotation = model.model_fields[key].annotation if key in model.model_fields else None
        inner = [annotation, *getattr(annotation, "__args__", ())]
        models = [one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)]
        if not models:
            return []
        model = models[0]
    return [name for name in model.model_fields if name != "profile"]
