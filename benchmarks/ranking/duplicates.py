"""Equal rows, found exactly.

Two images with one embedding must have one score, or their order is not that of their index, and the step H(0) = 1 of a
rank counts one of them where it should count both. A matrix product does not promise it: the edges of its tiles add up
in another order, and 7 distinct rows in a gallery of 60,001 were seen to have 8 distinct scores. So the copies are
found and take the score of the first of their kind.
"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 1 << 22


def copies(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows that equal an earlier one: (their indices, the index of the first such row).

    rows (n, d) float. Rows are compared in full after their first 64 bits, which tell most apart at once, and then a
    64-bit sum of all their bits have found the candidates.

    >>> copies(torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))
    (tensor([2]), tensor([0]))
    """
    everything = torch.arange(len(rows), device=rows.device)
    at, of = _shared(_bit_sums(rows[:, : 8 // rows.element_size()], everything))
    if not len(at):
        return at, of
    some = torch.unique(torch.cat([at, of]))
    at, of = (some[places] for places in _shared(_bit_sums(rows, some)))
    step = max(1, CHUNK // max(1, rows.shape[1]))
    pairs = zip(torch.split(at, step), torch.split(of, step), strict=True)
    kept = torch.cat([(rows[a] == rows[b]).all(1) for a, b in pairs])
    return at[kept], of[kept]


def _shared(sums: Tensor) -> tuple[Tensor, Tensor]:
    """The places (n,) whose value stands earlier too, and the first place of it."""
    values, order = sums.sort(stable=True)
    starts = torch.ones_like(values, dtype=torch.bool)
    torch.ne(values[1:], values[:-1], out=starts[1:])
    first = order[starts][starts.cumsum(0) - 1]
    return order[~starts], first[~starts]


def firsts(rows: Tensor) -> Tensor:
    """For every row the index of the first that equals it, (n,) int64.

    >>> firsts(torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))
    tensor([0, 1, 0])
    """
    at, of = copies(rows)
    return torch.arange(len(rows), device=rows.device).index_copy(0, at, of)


@torch.no_grad()
def equalised(scores: Tensor, rows: Tensor) -> Tensor:
    """The scores (Q, n) of the rows (n, d), those of copies set to that of the first of their kind, in place.

    Gradients take no notice: each copy keeps its own. Only on a processor, where products were seen to differ; to look
    for copies on a GPU would be to wait for it.
    """
    if scores.device.type == "cpu":
        at, of = copies(rows)
        if len(at):
            scores[:, at] = scores[:, of]
    return scores


def _bit_sums(rows: Tensor, some: Tensor) -> Tensor:
    """A weighted sum of the bits of some rows (k,), (k,) int64: equal rows have equal sums."""
    wide = rows.shape[1] > 0 and rows.shape[1] * rows.element_size() % 8 == 0
    as_int = torch.int64 if wide else {2: torch.int16, 4: torch.int32, 8: torch.int64}[rows.element_size()]
    length = rows.shape[1] * rows.element_size() // 8 if wide else rows.shape[1]
    generator = torch.Generator().manual_seed(0)
    odd = torch.randint(1 << 62, (length,), generator=generator).mul_(2).add_(1).to(rows.device)
    step = max(1, CHUNK // max(1, rows.shape[1]))
    # 0.0 added: -0.0 and 0.0 are equal numbers with different bits.
    parts = (rows.index_select(0, part).add_(0.0).view(as_int).long() for part in torch.split(some, step))
    return torch.cat([(_folded(part) * odd).sum(1) for part in parts])


def _folded(bits: Tensor) -> Tensor:
    """int64 with the upper bits mixed into the lower ones, one to one.

    Numbers such as 1.0 and -0.5 differ in their uppermost bits only, of which a product keeps next to nothing: two
    signs turned round left the sum as it was.
    """
    return bits ^ (bits >> 23 & (1 << 41) - 1) ^ (bits >> 41 & (1 << 23) - 1)
