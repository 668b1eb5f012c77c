"""Properties of every loss: the calling convention, undefined queries, dtypes, invariances, gradients."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.losses.csl import csl_margins
from hgld.foundation.errors import HgldError
from tests.benchmarks.losses.examples import (
    CLASSES,
    DIM,
    NEEDS_POSITIVE,
    PAIRS,
    PROXIES,
    RANKED,
    batch,
    example,
    gradient,
    nested,
)

EVERY = pytest.mark.parametrize("name", list(LOSSES))
WITH_GALLERY = [name for name in LOSSES if name not in PROXIES]
WITH_LEVEL = [name for name, loss in LOSSES.items() if "level" in inspect.signature(loss).parameters]
# BlackBoxAP's gradient is no derivative, on purpose.
DIFFERENTIABLE = [name for name in LOSSES if name != "blackbox_ap"]
# The value of a query depends only on itself and the gallery.
INDEPENDENT = [name for name in LOSSES if name not in ("calibration", "contrastive", "triplet")]


def test_the_names_are_the_public_ones() -> None:
    names = "smooth_ap sup_ap smooth_hap sup_hap smooth_ndcg sup_ndcg smooth_recall sup_recall soft_bin_ap fast_ap"
    names += " blackbox_ap calibration cluster csl arcface proxy_nca contrastive triplet xbm_pair"
    assert set(LOSSES) == set(names.split())
    assert set(LOSSES) == {*NEEDS_POSITIVE, *PAIRS, *PROXIES}, "put every loss into a group of examples.py"


@EVERY
@pytest.mark.parametrize("against", ["itself", "gallery"])
def test_the_mean_is_over_the_defined_queries(name: str, against: str) -> None:
    query, labels = batch(13)
    query.requires_grad_()
    gallery = batch(29, seed=1) if against == "gallery" else ()
    per_query = example(name, reduction="none")(query, labels, *gallery)
    mean = example(name)(query, labels, *gallery)
    assert per_query.shape == (13,) and mean.shape == ()
    torch.testing.assert_close(mean, per_query.nanmean(), atol=1e-12, rtol=0)
    if name in DIFFERENTIABLE:
        slopes = [torch.autograd.grad(value, query)[0] for value in (mean, per_query.nanmean())]
        torch.testing.assert_close(slopes[0], slopes[1], atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", WITH_GALLERY)
def test_half_a_gallery_is_refused(name: str) -> None:
    with pytest.raises(HgldError, match="belong together"):
        example(name)(*batch(4), batch(4)[0])


@EVERY
def test_a_query_without_positives_leaves_the_loss_finite_and_the_others_unchanged(name: str) -> None:
    """In the published code 0 / 0 in one row makes the whole loss NaN, and with it every weight of the network."""
    query, labels = batch(6)
    inputs = batch(30, seed=1)
    labels[2] = nested(torch.tensor([0])) if name in PROXIES else 99
    leaf = query.clone().requires_grad_()
    value = example(name)(leaf, labels, *inputs)
    slope = torch.autograd.grad(value, leaf)[0]
    assert value.isfinite() and slope.isfinite().all()
    assert float(value.detach()) > 0 and slope.any()
    per_query = example(name, reduction="none")(query, labels, *inputs)
    assert per_query[2].isnan() == (name in NEEDS_POSITIVE)
    if name in NEEDS_POSITIVE:
        assert not slope[2].any()
        kept = torch.arange(6) != 2
        alone = example(name)(query[kept], labels[kept], *inputs)
        torch.testing.assert_close(value.detach(), alone, atol=1e-12, rtol=0)


@EVERY
def test_a_batch_without_positives_has_loss_and_gradient_zero(name: str) -> None:
    query, inputs = batch(3)[0].requires_grad_(), batch(5, seed=1)
    labels = nested(torch.arange(3)) if name in PROXIES else torch.full((3, 3), 99)
    value = example(name)(query, labels, *inputs)
    slope = torch.autograd.grad(value, query)[0]
    assert value.isfinite() and slope.isfinite().all()
    if name in NEEDS_POSITIVE:
        assert float(value.detach()) == 0.0
        assert not slope.any()


@EVERY
def test_pair_losses_count_the_negatives_of_queries_without_positives(name: str) -> None:
    """They are sums over pairs, and 0 only for an empty gallery."""
    labels = torch.full((3, 3), 99) if name not in PROXIES else nested(torch.arange(3))
    empty = example(name, reduction="none")(batch(3)[0], labels, torch.zeros(0, DIM, dtype=torch.float64), labels[:0])
    assert empty.isnan().all() == (name in NEEDS_POSITIVE)
    if name in PAIRS:
        assert not empty.any()
        near = torch.eye(DIM, dtype=torch.float64)[:1]
        assert float(example(name)(near, torch.tensor([[1]]), near, torch.tensor([[2]]))) > 0


@EVERY
def test_one_query_and_one_item_are_enough(name: str) -> None:
    query, label = batch(1)
    for inputs in ((query, label), (query, label, query, label)):
        value = example(name, reduction="none")(*inputs)
        undefined = name == "triplet" or (name == "fast_ap" and len(inputs) == 2)
        assert value.isnan().tolist() == [undefined]
        assert gradient(example(name), *inputs).isfinite().all()


@pytest.mark.parametrize("name", INDEPENDENT)
def test_a_query_has_the_same_value_alone_and_in_a_batch(name: str) -> None:
    """Also where the numbers of positives differ."""
    query, labels = batch(9)
    inputs = batch(40, seed=1)
    sizes = {int((inputs[1][:, 0] == label).sum()) for label in labels[:, 0]}
    assert len(sizes) > 1
    loss = example(name, reduction="none")
    alone = torch.cat([loss(query[i : i + 1], labels[i : i + 1], *inputs) for i in range(9)])
    torch.testing.assert_close(loss(query, labels, *inputs), alone, atol=1e-12, rtol=0, equal_nan=True)


@EVERY
@pytest.mark.parametrize("levels", range(1, 9))
def test_any_number_of_levels_is_allowed(name: str, levels: int) -> None:
    value = example(name, levels)(*batch(12, levels), *batch(20, levels, seed=1))
    assert value.isfinite()


@pytest.mark.parametrize("name", WITH_LEVEL)
def test_level_selects_the_column_of_the_labels(name: str) -> None:
    inputs = batch(16)
    value = example(name, level=1)(*inputs)
    cut = example(name, level=0)(inputs[0], inputs[1][:, 1:])
    torch.testing.assert_close(value, cut)
    with pytest.raises(HgldError, match="level 3 does not exist"):
        example(name, level=3)(*inputs)


@EVERY
def test_the_order_of_queries_and_items_has_no_effect(name: str) -> None:
    query, labels = batch(11)
    gallery, gallery_labels = batch(23, seed=1)
    generator = torch.Generator().manual_seed(5)
    rows, items = torch.randperm(11, generator=generator), torch.randperm(23, generator=generator)
    loss = example(name, reduction="none")
    close = {"atol": 1e-12, "rtol": 0.0, "equal_nan": True}
    whole = loss(query, labels, gallery, gallery_labels)
    turned = loss(query[rows], labels[rows], gallery[items], gallery_labels[items])
    torch.testing.assert_close(turned, whole[rows], **close)
    torch.testing.assert_close(loss(query[rows], labels[rows]), loss(query, labels)[rows], **close)


@pytest.mark.parametrize("name", WITH_GALLERY)
def test_the_numbers_of_the_labels_have_no_effect(name: str) -> None:
    (query, labels), (gallery, gallery_labels) = batch(11), batch(23, seed=1)
    numbers = torch.randperm(100, generator=torch.Generator().manual_seed(5)) * 10**12 + 7
    loss = example(name, reduction="none")
    whole = loss(query, labels, gallery, gallery_labels)
    renamed = loss(query, numbers[labels], gallery, numbers[gallery_labels])
    torch.testing.assert_close(renamed, whole, atol=0, rtol=0, equal_nan=True)


@pytest.mark.parametrize("name", PROXIES)
def test_renumbered_classes_with_their_proxies_change_nothing(name: str) -> None:
    query, labels = batch(11)
    order = torch.randperm(CLASSES, generator=torch.Generator().manual_seed(5))
    loss, other = example(name), example(name)
    if name == "csl":
        # Its proxies lie in the order of the table: rename within it, keeping the tree.
        order = torch.tensor([6, 7, 4, 5, 2, 3, 0, 1])
    assert isinstance(loss.weight, Tensor) and isinstance(other.weight, Tensor)
    with torch.no_grad():
        other.weight[order] = loss.weight
    torch.testing.assert_close(other(query, nested(order[labels[:, 0]])), loss(query, labels))


@EVERY
def test_values_hardly_depend_on_the_dtype(name: str) -> None:
    """float64 is kept; float32, and anything under autocast, is computed in float32; half precision is widened."""
    inputs = batch(24)
    gallery = batch(40, seed=1)
    loss = example(name, **({"tau": 0.1} if name in RANKED else {}))
    whole = loss(*inputs, *gallery)
    assert whole.dtype == torch.float64
    narrow = inputs[0].float(), inputs[1], gallery[0].float(), gallery[1]
    single = loss(*narrow)
    assert single.dtype == torch.float32
    if name != "blackbox_ap":  # a step function: a rounding may swap two ranks
        torch.testing.assert_close(single.double(), whole, atol=2e-5, rtol=2e-5)
    leaf = narrow[0].clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = loss(leaf, *narrow[1:])
    assert torch.equal(under, single)
    assert torch.equal(torch.autograd.grad(under, leaf)[0], gradient(loss, *narrow))


@EVERY
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_embeddings_are_ranked_in_float32(name: str, dtype: torch.dtype) -> None:
    """The value is that of the rounded embeddings in float32, the gradient has the embeddings' dtype."""
    query, labels = batch(24, dtype=torch.float32)
    query = query.to(dtype)
    loss = example(name)
    assert torch.equal(loss(query, labels), loss(query.float(), labels))
    slope = gradient(loss, query, labels)
    assert slope.dtype == dtype and slope.isfinite().all()
    mixed = loss(query, labels, query.float(), labels)
    assert mixed.dtype == torch.float32 and mixed.isfinite()


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_the_gradient_is_the_derivative_of_the_value(name: str) -> None:
    """gradcheck in both sides, and in the proxies."""
    (query, labels), (gallery, gallery_labels) = batch(5), batch(9, seed=1)
    smooth: dict[str, Any] = {"tau": 0.1} if name in RANKED else {}
    if name == "triplet":
        smooth = {"margin": 0.5}
    if name == "csl":
        smooth = {"scale": 4.0}
    loss = example(name, reduction="none", **smooth).double()
    leaves = [query, *(loss.parameters() if name in PROXIES else [gallery])]

    def value(q: Tensor, other: Tensor) -> Tensor:
        if name in PROXIES:
            per_query = torch.func.functional_call(loss, {"weight": other}, (q, labels))
        else:
            per_query = loss(q, labels, other, gallery_labels)
        return per_query.nan_to_num(0.0)

    assert torch.autograd.gradcheck(value, [leaf.detach().requires_grad_() for leaf in leaves])


@pytest.mark.parametrize("name", PROXIES)
def test_proxies_are_one_parameter_named_weight(name: str) -> None:
    loss = example(name, seed=3)
    assert [key for key, _ in loss.named_parameters()] == ["weight"]
    (weight,), (other_weight,) = loss.parameters(), (other := example(name, seed=4)).parameters()
    assert weight.shape == (CLASSES, DIM)
    assert not torch.equal(weight, other_weight)
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other(*batch(9)), loss(*batch(9)))
    with pytest.raises(HgldError, match="labels"):
        loss(batch(2)[0], nested(torch.tensor([0, CLASSES])))
    with pytest.raises(HgldError, match="embeddings must be"):
        loss(torch.ones(2, DIM + 1), nested(torch.arange(2)))


@pytest.mark.parametrize(("levels", "margins"), [(2, (0.25, 0.45)), (3, (0.25, 0.35, 0.45)), (7, None)])
def test_csl_margins_are_the_published_ones(levels: int, margins: tuple[float, ...] | None) -> None:
    expected = margins or (0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75)
    assert csl_margins(levels) == expected
    assert torch.equal(
        example("csl", levels)(*batch(9, levels)), example("csl", levels, margins=expected)(*batch(9, levels))
    )


@EVERY
@pytest.mark.parametrize("where", ["query", "other"])
def test_input_that_is_not_finite_never_gives_a_finite_loss(name: str, where: str) -> None:
    """A diverged network must not seem to have a loss of 0. other: the gallery or the proxies."""
    loss, (query, labels), (gallery, names) = example(name), batch(12), batch(20, seed=1)
    proxies = list(loss.parameters())
    with torch.no_grad():
        broken = query if where == "query" else [gallery, *proxies][-1]
        broken[3, 0] = torch.nan
    value = loss(query, labels) if proxies else loss(query, labels, gallery, names)
    assert not torch.isfinite(value)


@pytest.mark.parametrize("name", NEEDS_POSITIVE)
def test_a_gallery_as_large_as_the_batch_is_a_gallery(name: str) -> None:
    """The published code takes a memory with as many rows as the batch for the batch itself."""
    (query, labels), (gallery, names) = batch(12), batch(12, seed=1)
    whole = LOSSES[name](reduction="none")(query, labels, gallery, names)
    twice = LOSSES[name](reduction="none")(query[:6], labels[:6], gallery, names)
    if name == "triplet":  # shares of a mean over the batch
        assert whole.isnan().equal(torch.cat([whole[:6], whole[6:]]).isnan())
        assert not torch.equal(whole.nan_to_num(0.0), LOSSES[name](reduction="none")(query, labels).nan_to_num(0.0))
    else:
        torch.testing.assert_close(whole[:6], twice, atol=1e-12, rtol=0, equal_nan=True)
