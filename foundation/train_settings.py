"""The section `train` of params.yaml, and of a run file: network, losses, batches, optimisers, validation.

Every setting has a default here, for a run in a folder without params.yaml; those of the published recipes are in
runs/. A setting that is at its default is not written into the checkpoint of the stage.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# The largest networks: wider embeddings and larger images than any published model of the field.
MAX_DIM = 65_536
MAX_IMAGE_SIZE = 1_024

# What every profile of params.yaml states; the rest is optional there.
STATED = frozenset(
    {"backbone", "pretrained", "dim", "pooling", "image_size", "levels", "clean_only", "loss", "epochs", "batch_size"}
    | {"per_class", "lr", "proxy_lr", "weight_decay", "warmup_epochs", "seed", "threads"}
)
# Later settings: at their default, they are not recorded in the checkpoint of the stage.
LATER = frozenset(
    {"super_classes", "compile", "optimiser", "momentum", "schedule", "milestones", "gamma", "lr_warmup", "head"}
    | {"proxies", "clip_norm", "ema", "freeze_batchnorm", "validate_every", "validation_classes", "best_metric"}
    | {"patience", "loggers", "validation_split"}
)
OptimiserName = Literal["adamw", "adam", "sgd"]
ScheduleName = Literal["cosine", "multistep", "constant"]
# Adam moves a weight by up to lr per step, and a weight of a network is below 1; proxies are normalised when used.
_Rate = Annotated[float, Field(gt=0, le=1)]
_ProxyRate = Annotated[float, Field(gt=0, le=100)]
_Decay = Annotated[float, Field(ge=0, le=10)]
_Milestones = Annotated[list[Annotated[int, Field(ge=1, le=100_000)]], Field(max_length=1_000)]


class Section(BaseModel):
    """Settings: unknown keys are errors, and values have the type that is written down."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class LossTerm(Section):
    """One term of the training loss: its name in LOSSES, its weight and its settings."""

    name: str
    weight: float = Field(gt=0, le=1e6)
    settings: dict[str, bool | float | int | str | list[float] | list[int] | None] = {}


class PartOptimiser(Section):
    """The optimiser of the head or of the proxies, where it differs from that of the backbone."""

    optimiser: OptimiserName | None = None
    lr: _ProxyRate | None = None
    weight_decay: _Decay | None = None
    schedule: ScheduleName | None = None


class Train(Section):
    """The network, the loss, and the schedule."""

    backbone: str = Field("resnet18", description="a name of timm.list_models()")
    pretrained: bool = Field(False, description="start from the weights that timm publishes")
    dim: int = Field(128, ge=2, le=MAX_DIM, description="width of the embedding")
    pooling: Literal["gem", "avg"] = Field("gem", description="generalised mean, or average")
    image_size: int = Field(128, ge=16, le=MAX_IMAGE_SIZE, description="pixels per side")
    levels: list[str] = Field(
        ["landmark", "hierarchical_label", "natural_or_human_made"],
        min_length=1,
        description="columns of the labels, finest first",
    )
    clean_only: bool = Field(True, description="only the cleaned subset of GLDv2's train images")
    loss: list[LossTerm] = Field(
        [LossTerm(name="sup_hap", weight=0.9), LossTerm(name="cluster", weight=0.1)],
        min_length=1,
        description="terms that are added, each with name, weight and settings",
    )
    epochs: int = Field(20, ge=1, le=100_000, description="passes over the training images")
    batch_size: int = Field(64, ge=2, le=1_000_000, description="images per batch, of all processes together")
    per_class: int = Field(4, ge=1, le=1_000_000, description="images of a class in a batch")
    together: bool = Field(False, description="fill half of each batch with landmarks of one label (hard negatives)")
    super_classes: int = Field(
        0, ge=0, le=1_000_000, description="hierarchical sampler: classes of level 1 per batch; 0: not used"
    )
    chunk: int = Field(
        0, ge=0, le=1_000_000, description="gradient caching: images per forward pass; 0: the whole batch"
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="of the network; losses use float32"
    )
    compile: bool = Field(False, description="torch.compile of the backbone")
    memory: int = Field(0, ge=0, le=100_000_000, description="XBM: number of past embeddings in the gallery; 0: none")
    memory_from: int = Field(1, ge=1, le=100_000, description="the first epoch in which the memory is used")
    pos_mixup: bool = Field(False, description="add mixtures of positives to the gallery")
    lr: _Rate = Field(1e-4, description="learning rate of the network")
    proxy_lr: _ProxyRate = Field(1e-2, description="learning rate of the losses' own weights")
    weight_decay: _Decay = Field(1e-4, description="of the network")
    optimiser: OptimiserName = Field("adamw", description="of the network")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    schedule: ScheduleName = Field("cosine", description="of the learning rate, to the last epoch")
    milestones: _Milestones = Field([], description="epochs after which multistep multiplies the rate by gamma")
    gamma: float = Field(0.1, gt=0, le=1, description="factor of multistep")
    lr_warmup: float = Field(0.0, ge=0, le=100_000, description="epochs in which the rate rises linearly from 0")
    head: PartOptimiser = Field(PartOptimiser(), description="pooling and linear layer; by default as the backbone")
    proxies: PartOptimiser = Field(PartOptimiser(), description="of the losses; by default adam with proxy_lr")
    clip_norm: float = Field(0.0, ge=0, le=1e6, description="largest norm of the network's gradient; 0: not clipped")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the moving average of the weights, which is saved")
    warmup_epochs: int = Field(0, ge=0, le=100_000, description="epochs with a frozen backbone")
    freeze_batchnorm: bool = Field(False, description="statistics and affine weights of the backbone's stay")
    validate_every: int = Field(0, ge=0, le=100_000, description="epochs between validations; 0: none")
    validation_classes: float = Field(0.1, gt=0, lt=1, description="fraction of the training classes held out")
    validation_split: str = Field("", description="split of --data to validate on; by default val, if there is one")
    best_metric: str = Field("H-AP", description="of the validation, by which best.pt is chosen")
    patience: int = Field(0, ge=0, le=100_000, description="stop after so many epochs without a better one; 0: never")
    loggers: list[Literal["dvclive", "tensorboard"]] = Field([], description="where the curves are also sent")
    seed: int = Field(0, ge=0, lt=2**63, description="of weights and batches")
    threads: int = Field(1, ge=1, le=1_024, description="threads that decode images, and of torch")
    max_broken: float = Field(0.1, ge=0, le=1, description="fraction of the images that may be unreadable")

    def at_default(self) -> set[str]:
        """The later settings that change nothing."""
        return {name for name in LATER if getattr(self, name) == type(self).model_fields[name].default}
