"""Threads of one core each."""

from __future__ import annotations

from dataclasses import asdict
from threading import Barrier, get_ident

import pytest
import torch
from torch import Tensor

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.ranking import rank_score
from hgld.benchmarks.ranking.rank_score import force
from hgld.benchmarks.ranking.similarity import similarity
from hgld.benchmarks.ranking.surrogates import Surrogate
from hgld.benchmarks.ranking.threads import allowed_threads, one_core, single_core_threads
from tests.benchmarks.losses.examples import RANKED, batch, gradient


def test_threads_keep_the_order_raise_errors_and_restore_torchs_setting() -> None:
    before = torch.get_num_threads()
    with single_core_threads(3) as parallel_map:
        assert parallel_map(lambda n: n * n, range(50)) == [n * n for n in range(50)]
        assert parallel_map(lambda _: torch.get_num_threads(), range(9)) == [1] * 9
        with pytest.raises(ZeroDivisionError):
            parallel_map(lambda n: 1 / n, [1, 0])
    assert torch.get_num_threads() == before


def test_one_core_remembers_how_many_threads_are_allowed() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), one_core(), one_core():
        assert (torch.get_num_threads(), allowed_threads()) == (1, before)
        _ = 1 / 0
    assert (torch.get_num_threads(), allowed_threads()) == (before, before)


def test_a_product_on_one_core_has_all_derivatives_and_keeps_to_it() -> None:
    before = torch.get_num_threads()
    rows, refs = (part.clone().requires_grad_() for part in batch(9)[0].split([4, 5]))

    def product(a: Tensor, b: Tensor) -> Tensor:
        with one_core():
            return similarity(a, b)

    try:
        torch.set_num_threads(3)
        assert type(product(rows, refs).grad_fn).__name__ == "_OneCoreProductBackward"
        assert torch.autograd.gradcheck(product, [rows, refs])
        assert torch.autograd.gradgradcheck(product, [rows, refs])
        assert torch.autograd.gradcheck(product, [rows, refs.detach()])
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def usage_of_torchs_threads(name: str) -> set[int]:
    """How many threads torch had while a loss of 64 x 64 was computing its terms."""
    seen: set[int] = set()

    class Watched(type(LOSSES[name]())):  # type: ignore[misc]
        @property
        def surrogate(self) -> Surrogate:
            inner = super().surrogate

            class Step(type(inner)):  # type: ignore[misc]
                def step(self, x: Tensor, lower: Tensor) -> tuple[Tensor, Tensor | None]:
                    seen.add(torch.get_num_threads())
                    return inner.step(x, lower)

            return Step(**asdict(inner))

    embeddings, labels = batch(64, dtype=torch.float32)
    assert torch.equal(Watched()(embeddings, labels), LOSSES[name]()(embeddings, labels))
    return seen


@pytest.mark.parametrize("name", ["sup_ap", "smooth_ap"])
def test_pairs_are_computed_on_threads_of_one_core(name: str) -> None:
    """Shared operations make torch's threads wait for each other a hundred times, on a busy machine for a second."""
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert usage_of_torchs_threads(name) == {1}
            with force("near_linear"):
                LOSSES[name]()(*batch(64, dtype=torch.float32))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["sup_ap", "smooth_hap"])
def test_many_pairs_are_divided_between_threads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits in its first block until the other has one, so that none can take all of them."""
    before, met, seen = torch.get_num_threads(), Barrier(2, timeout=60), set[int]()

    class Watched(type(LOSSES[name]())):  # type: ignore[misc]
        @property
        def surrogate(self) -> Surrogate:
            inner = super().surrogate

            class Step(type(inner)):  # type: ignore[misc]
                def step(self, x: Tensor, lower: Tensor) -> tuple[Tensor, Tensor | None]:
                    if get_ident() not in seen:
                        seen.add(get_ident())
                        met.wait()
                    return inner.step(x, lower)

            return Step(**asdict(inner))

    rows, labels = batch(64, dtype=torch.float32)
    expected = LOSSES[name](reduction="none")(rows, labels), gradient(LOSSES[name](), rows, labels)
    monkeypatch.setattr(rank_score, "PAIRS_PER_THREAD", 100)
    try:
        torch.set_num_threads(2)
        value = Watched(reduction="none")(rows, labels)
        assert len(seen) == 2
        assert torch.get_num_threads() == 2
        found = value, gradient(LOSSES[name](), rows, labels)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", list(RANKED))
def test_the_number_of_threads_has_no_effect(name: str) -> None:
    """But for the last bits, which depend on how the processor divides a row."""
    (rows, labels), before = batch(70, dtype=torch.float32), torch.get_num_threads()
    loss = LOSSES[name](reduction="none")
    outcomes = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            leaf = rows.clone().requires_grad_()
            value = loss(leaf, labels)
            outcomes.append((value.detach(), *torch.autograd.grad(value.nansum(), leaf)))
            with torch.inference_mode():
                torch.testing.assert_close(loss(rows, labels), value.detach(), equal_nan=True)
    finally:
        torch.set_num_threads(before)
    for outcome in outcomes[1:]:
        torch.testing.assert_close(outcome, outcomes[0], equal_nan=True)
