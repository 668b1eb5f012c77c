"""Missing coarse labels give the same losses and metrics as the release encodes them and as -1."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch import Tensor

from hgld.benchmarks.datasets.release import COLUMNS, encode
from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.ranking.levels import UNKNOWN, agreement
from hgld.foundation.errors import HgldError
from tests.benchmarks.losses.examples import DIM, PROXIES, example

LEVELS = ("landmark", "hierarchical_label", "natural_or_human_made")
#        landmark   class     natural or human-made
WORLD = [
    ("Tower", "tower", "human-made"),
    ("Spire", "tower", "human-made"),
    ("Bridge", "bridge", "human-made"),
    ("Peak", "mountain", "natural"),
    ("Thing", "", ""),
    ("Other", "", ""),
    ("Ruin", "", "human-made"),
]
WITH_GALLERY = [name for name in LOSSES if name not in PROXIES]


def table() -> pd.DataFrame:
    """Four images of every landmark."""
    rows = [(category, "", label, kind) for category, label, kind in WORLD] * 4
    return pd.DataFrame(rows, columns=list(COLUMNS))


def both_encodings() -> tuple[Tensor, Tensor]:
    """The labels as the release encodes them, and with -1 where one is missing."""
    rows = table()
    (encoded,), names = encode([rows], LEVELS)
    text = rows[["category", "hierarchical_label", "natural_or_human_made"]].to_numpy()
    missing = torch.from_numpy(text == "")
    assert "" in names[1], "the name of a class of images without a label"
    return encoded, encoded.masked_fill(missing, UNKNOWN)


def embeddings() -> Tensor:
    """One unit vector an image."""
    drawn = torch.randn(28, DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=1)


def test_both_encodings_have_the_same_agreements() -> None:
    """Images of one landmark agree at every level, others down to the first label that is missing."""
    encoded, unknown = both_encodings()
    depth = agreement(encoded, encoded)
    assert torch.equal(depth, agreement(unknown, unknown))
    index = {category: row for row, (category, _, _) in enumerate(WORLD)}
    expected = {
        ("Tower", "Tower"): 3, ("Tower", "Spire"): 2, ("Tower", "Bridge"): 1, ("Tower", "Peak"): 0,
        ("Thing", "Thing"): 3, ("Thing", "Other"): 0, ("Thing", "Tower"): 0, ("Ruin", "Ruin"): 3,
        ("Ruin", "Tower"): 1, ("Ruin", "Thing"): 0,
    }  # fmt: skip
    for (a, b), t in expected.items():
        assert int(depth[index[a], index[b] + 7]) == t, (a, b)


@pytest.mark.parametrize("name", WITH_GALLERY)
def test_every_loss_is_the_same_for_both_encodings(name: str) -> None:
    encoded, unknown = both_encodings()
    e = embeddings()
    loss = LOSSES[name](reduction="none")
    for split in (lambda labels: (e, labels), lambda labels: (e[:14], labels[:14], e[14:], labels[14:])):
        whole = loss(*split(encoded))
        torch.testing.assert_close(loss(*split(unknown)), whole, atol=0, rtol=0, equal_nan=True)
        assert not whole.isnan().any()  # a landmark without labels still has its own images as positives


def test_every_metric_is_the_same_for_both_encodings() -> None:
    encoded, unknown = both_encodings()
    names = ["H-AP", "NDCG", "ASI", "AP_l0", "AP_l1", "AP_l2", "AP#1", "AP#2", "AP#3"]
    frame = evaluate(embeddings(), encoded, metrics=names)
    pd.testing.assert_frame_equal(evaluate(embeddings(), unknown, metrics=names), frame)
    # A landmark of unknown class has its own images at every level, and no others.
    unclassified = torch.arange(28) % 7 == 4
    assert frame.loc[unclassified.numpy(), ["AP#1", "AP#2"]].isna().all(axis=None)
    assert frame.loc[unclassified.numpy(), "AP_l2"].tolist() == frame.loc[unclassified.numpy(), "AP_l0"].tolist()


def test_proxy_losses_refuse_a_missing_class_and_csl_takes_both_encodings() -> None:
    """Classification needs a class; CSL compares whole rows."""
    encoded, unknown = both_encodings()
    csl = [LOSSES["csl"](num_classes=labels, dim=DIM)(embeddings(), labels) for labels in (encoded, unknown)]
    assert all(value.isfinite() for value in csl)
    assert example("cluster", level=1)(embeddings(), encoded).isfinite()
    with pytest.raises(HgldError, match="labels run from -1"):
        example("cluster", level=1)(embeddings(), unknown)
