"""Signs that a training learns nothing, one step at a time."""

from __future__ import annotations

import pytest
import torch

from hgld.benchmarks.ranking.levels import UNKNOWN
from hgld.benchmarks.training.health import Health


@pytest.mark.parametrize(
    ("batch", "others", "alone"),
    [
        ([1, 2, 3], [], True),
        ([1, 2, 2], [], False),
        ([1, 2, 3], [3], False),
        ([1, 2, UNKNOWN, UNKNOWN], [], True),  # no two images of one landmark
        ([1, UNKNOWN], [UNKNOWN, UNKNOWN], True),
        ([UNKNOWN, UNKNOWN], [], True),
        ([1, 2, 3], [7, 7, 7], True),  # landmarks of the memory only
        ([1, 2, 3], [7, 7, 2], False),
    ],
)
def test_a_batch_has_two_images_of_a_landmark_or_finds_one_in_its_gallery(
    batch: list[int], others: list[int], alone: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, gallery = (torch.tensor(column)[:, None] for column in (batch, batch + others))
    health = Health()
    health.start_epoch([])
    health.observe({}, torch.eye(len(batch)), labels, gallery)
    health.report(0)
    assert ("no batch has two images of one landmark" in capsys.readouterr().out) is alone
