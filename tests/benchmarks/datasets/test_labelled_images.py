"""The dataset protocol is all that training and evaluation need: a model for images that exist only in memory."""

from __future__ import annotations

from pathlib import Path

from hgld.benchmarks.evaluation.embedding import Embedder
from hgld.benchmarks.evaluation.report import page
from hgld.benchmarks.evaluation.scoring import score
from hgld.benchmarks.models.network import save_checkpoint
from hgld.benchmarks.models.reproducible import reproducible
from hgld.benchmarks.models.scored_model import ModelOptions
from hgld.benchmarks.models.sources.registry import open_model
from hgld.benchmarks.training.train import train
from hgld.foundation.settings import Params
from tests.benchmarks.conftest import tiny
from tests.benchmarks.datasets.coloured_images import coloured_dataset


def test_any_dataset_in_memory_is_trained_on_and_scored(settings: Params, tmp_path: Path) -> None:
    dataset = coloured_dataset()
    training = tiny(settings, epochs=6, batch_size=16).train
    benchmark = settings.benchmark.model_copy(update={"metrics": ["R@1_l0", "NDCG"]})
    with reproducible(training.seed, 1) as device:
        network, curves = train(dataset.train, training, device, tmp_path / "state.pt")
        save_checkpoint(network.eval(), {"train": {"seed": training.seed}}, tmp_path / "model.pt")
        model = open_model(str(tmp_path / "model.pt"), ModelOptions())
        how = Embedder(batch=8, device=device, threads=2, cache=tmp_path / "cache")
        result, _ = score(model, dataset, benchmark, how)
        html = page(result, dataset, curves, model.config, max_examples=2)
    assert curves["loss"].iloc[-1] < curves["loss"].iloc[0]
    assert result.scores.loc["model", "H-AP"] > result.scores.loc["chance", "H-AP"] + 0.3
    assert list(result.scores) == ["R@1_l0", "NDCG", "H-AP", "mAP@100_l0"]
    assert result.per_query["image_id"].tolist() == dataset.query.ids
    assert {k: v for k, v in result.counts.items() if k != "tied"} == {
        "queries": 12,
        "gallery": 20,
        "left_out": 0,
        "undefined": 0,
        "lists_differ": 0,
    }
    assert html.count('<section class="query"') == 4  # two examples, and the worst two
    assert "same hue" in html and "H-AP by" not in html
