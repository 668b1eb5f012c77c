"""Embeddings are compared by cosine everywhere, whatever their lengths; arrays are taken as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.metrics import METRICS, evaluate
from hgld.benchmarks.ranking.similarity import AsGiven, as_tensor, inverse_lengths, unit_rows
from hgld.benchmarks.training.pos_mixup import mixed_gallery
from hgld.foundation.errors import HgldError
from tests.benchmarks.losses.examples import batch, example, gradient, with_scores

EVERY = pytest.mark.parametrize("name", list(LOSSES))
ROUNDED = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


def lengths(n: int, seed: int = 7) -> Tensor:
    """Lengths from 1e-3 to 1e3."""
    return 10.0 ** (6 * torch.rand(n, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 3)


@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e20, 1e35])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_metrics_do_not_depend_on_the_lengths(dtype: torch.dtype, scale: float) -> None:
    """R@1 was .017 where .512 is right; the squares of the last scales do not fit float32."""
    (query, labels), (gallery, names) = batch(30), batch(80, seed=1)
    expected = evaluate(query, labels, gallery, names)
    raw = (query * lengths(30) * scale).to(dtype), labels, (gallery * lengths(80) * scale).to(dtype), names
    frames = (evaluate(*raw), expected), (evaluate(*raw[2:]), evaluate(gallery, names))
    for ours, unit in frames:
        if dtype == torch.float64:
            np.testing.assert_allclose(ours, unit, atol=1e-9)
        np.testing.assert_allclose(ours.mean(), unit.mean(), atol=1e-4)  # in float32 two neighbours may change places


@EVERY
def test_losses_and_their_gradients_do_not_depend_on_the_lengths(name: str) -> None:
    """The gradient in raw rows is that of normalising them first."""
    (query, labels), (gallery, names) = batch(14), batch(30, seed=1)
    loss, scales = example(name), lengths(14)
    for inputs, raw in (((), ()), ((gallery, names), (gallery * lengths(30), names))):
        torch.testing.assert_close(loss(query * scales, labels, *raw), loss(query, labels, *inputs))
        leaf = (query * scales).requires_grad_()
        through = torch.autograd.grad(loss(normalize(leaf, dim=1), labels, *inputs), leaf)[0]
        torch.testing.assert_close(gradient(loss, query * scales, labels, *raw), through, atol=1e-9, rtol=1e-6)


@EVERY
def test_unit_rows_are_used_bit_for_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    query, labels = batch(14, dtype=torch.float32)
    value, slope = example(name)(query, labels), gradient(example(name), query, labels)
    for module in ("base", "proxy_losses"):
        monkeypatch.setattr(f"hgld.benchmarks.losses.{module}.unit_rows", lambda rows, _: rows, raising=False)
    assert torch.equal(example(name)(query, labels), value)
    assert torch.equal(gradient(example(name), query, labels), slope)


def test_rows_within_the_rounding_of_float32_are_unit_rows() -> None:
    rows = normalize(torch.randn(500, 300, generator=torch.Generator().manual_seed(0)), dim=1)
    assert unit_rows(rows, "rows") is rows and inverse_lengths(rows, "rows") is None
    rows[3] *= 1.001
    assert torch.equal(unit_rows(rows, "rows")[:3], rows[:3])
    torch.testing.assert_close(unit_rows(rows, "rows").norm(dim=1), torch.ones(500))


@ROUNDED
def test_rows_in_half_precision_are_normalised_again_in_float32(dtype: torch.dtype) -> None:
    """Rounding leaves lengths that differ by up to 4e-3, which would move neighbours of nearly equal cosine."""
    rows = normalize(torch.randn(500, 16, generator=torch.Generator().manual_seed(0)), dim=1).to(dtype)
    assert (rows.float().norm(dim=1) - 1).abs().max() > 1e-4
    assert unit_rows(rows, "rows").dtype == torch.float32
    torch.testing.assert_close(unit_rows(rows, "rows"), normalize(rows.float(), dim=1))
    labels = torch.arange(500)[:, None] % 20
    wide = normalize(rows.double(), dim=1)
    np.testing.assert_allclose(evaluate(rows, labels), evaluate(wide, labels), atol=1e-9)


def test_a_zero_row_is_an_error_with_its_number() -> None:
    rows, labels = batch(9)
    rows[4] = 0
    for side, inputs in (("query", (rows, labels, *batch(9))), ("gallery", (*batch(9), rows, labels))):
        with pytest.raises(HgldError, match=f"{side}: the embedding of row 4 is zero: it has no direction"):
            evaluate(*inputs)
    for name in LOSSES:
        with pytest.raises(HgldError, match="embeddings: the embedding of row 4 is zero"):
            example(name)(rows, labels)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_a_zero_row_makes_the_loss_nan() -> None:
    rows, labels = (side.cuda() for side in batch(9, dtype=torch.float32))
    expected = LOSSES["sup_hap"]()(rows, labels)
    assert torch.equal(LOSSES["sup_hap"]()(rows * 3, labels), expected) or expected.isfinite()
    rows[4] = 0
    assert LOSSES["sup_hap"]()(rows, labels).isnan()


def test_rows_marked_as_given_keep_their_lengths() -> None:
    """Mixtures of positives are shorter than 1: their scores are the mixtures of the scores, also behind a memory."""
    rows, labels = batch(12)
    mixed, names = mixed_gallery(rows, labels, torch.Generator().manual_seed(0))
    assert isinstance(mixed, AsGiven) and len(mixed) > 12 and (mixed[12:].norm(dim=1) < 0.999).any()
    gallery, gallery_names = torch.cat([mixed, batch(5, seed=2)[0]]), torch.cat([names, batch(5, seed=2)[1]])
    queries, items = with_scores(rows @ gallery.as_subclass(Tensor).T)
    for name in ("sup_hap", "smooth_ap", "soft_bin_ap", "xbm_pair"):
        expected = LOSSES[name]()(queries, labels, items, gallery_names)
        torch.testing.assert_close(LOSSES[name]()(rows, labels, gallery, gallery_names), expected)
    assert torch.equal(mixed_gallery(rows * 9, labels, torch.Generator().manual_seed(0))[1], names)


@pytest.mark.parametrize("dtype", [">f4", "<f8", np.float16])
def test_numpy_arrays_are_taken_as_tensors(dtype: Any) -> None:
    rows, labels = batch(12)
    array = rows.numpy().astype(dtype)
    array.flags.writeable = False
    tensor = torch.from_numpy(array.astype(np.dtype(dtype).newbyteorder("=")))
    for integers in (labels.numpy(), labels.numpy()[::-1][::-1], labels.numpy().astype(np.uint16)):
        assert evaluate(array, integers).equals(evaluate(tensor, labels))
        for name in ("sup_hap", "cluster", "triplet"):
            assert torch.equal(example(name)(array, integers), example(name)(tensor, labels))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1.0]], "query must be a torch tensor or a NumPy array; got list"),
        (None, "got NoneType"),
        (np.ones((2, 3), dtype=complex), "numbers that torch knows; got an array of complex128"),
        (np.array([["a"]]), "got an array of <U1"),
        (np.array([[None]]), "got an array of object"),
        (np.ma.masked_less(np.eye(2), 0.5), "query has masked values"),
        (torch.eye(2, dtype=torch.complex64), "dense tensor of numbers; got torch.complex64"),
        (torch.eye(2).to_sparse(), r"got torch.float32 \(sparse_coo\)"),
        (torch.eye(2, device="meta"), r"got torch.float32 \(meta\)"),
        (torch.eye(2).to(torch.float8_e4m3fn), "got torch.float8_e4m3fn"),
    ],
)
def test_other_inputs_are_errors(value: Any, message: str) -> None:
    with pytest.raises(HgldError, match=message):
        as_tensor(value, "query")
    with pytest.raises(HgldError, match=message):
        evaluate(value, torch.zeros(2, 1, dtype=torch.long))
    with pytest.raises(HgldError, match=message.replace("query", "embeddings")):
        LOSSES["sup_hap"]()(value, torch.zeros(2, 1, dtype=torch.long))
    with pytest.raises(HgldError, match="do not fit"):
        evaluate(torch.zeros(2, 0), torch.zeros(2, 1, dtype=torch.long))


def test_one_metric_may_be_given_by_its_name() -> None:
    """`metrics="H-AP"` was read as the metrics H, -, A and P."""
    rows, labels = batch(12)
    assert evaluate(rows, labels, metrics="H-AP").equals(evaluate(rows, labels, metrics=["H-AP"]))
    assert list(evaluate(rows, labels, metrics=(name for name in METRICS)).columns) == list(METRICS)
    for wrong in (5, None):
        with pytest.raises(HgldError, match="a metric is given by its name"):
            evaluate(rows, labels, metrics=[wrong])
    with pytest.raises(HgldError, match=r"unknown metric 'P@9{20}_l0'"):
        evaluate(rows, labels, metrics=f"P@{'9' * 20}_l0")


@pytest.mark.parametrize("alpha", [-1.0, float("nan"), float("inf"), "1", True])
def test_alpha_is_a_number_from_0_up(alpha: Any) -> None:
    with pytest.raises(HgldError, match="alpha"):
        evaluate(*batch(12), alpha=alpha)
    with pytest.raises(HgldError, match="alpha"):
        LOSSES["sup_hap"](alpha=alpha)


def test_the_losses_are_a_dictionary_that_suggests_names() -> None:
    assert isinstance(LOSSES, dict) and LOSSES.get("sup_hpa") is None and "sup_hpa" not in LOSSES
    for kind in (HgldError, KeyError):
        with pytest.raises(kind, match="unknown loss 'sup_hpa'; did you mean 'sup_hap'"):
            LOSSES["sup_hpa"]
