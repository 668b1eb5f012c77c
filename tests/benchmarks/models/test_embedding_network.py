"""Views are averaged as written; the pieces of a batch do not change an embedding; the identity is of the values."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hgld.benchmarks.models.embedding_network import (
    AveragedViews,
    EmbeddingNetwork,
    FixedBatch,
    probe_image,
    text_of,
    weights_digest,
)
from hgld.benchmarks.models.pooling import split_features
from hgld.foundation.errors import HgldError


class Grid(nn.Module):
    """The average of each cell of a 3 x 3 grid: depends on the side and on the size of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(tuple(images.shape))
        return nn.functional.adaptive_max_pool2d(images.float(), 3).flatten(1)


def images(batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, 30, 30, generator=torch.Generator().manual_seed(0))


def test_flip_averages_with_the_mirrored_image() -> None:
    network = EmbeddingNetwork(Grid())
    views = AveragedViews(network, flip=True, scales=())(images())
    expected = nn.functional.normalize(network(images()) + network(images().flip(3)), dim=1)
    torch.testing.assert_close(views, expected)
    assert not torch.allclose(views, network(images()), atol=1e-3)
    torch.testing.assert_close(views, AveragedViews(network, flip=True, scales=(1.0,))(images().flip(3)))


@pytest.mark.parametrize(("multiple", "sizes"), [(1, [30, 15, 42]), (14, [30, 14, 42])])
def test_scales_average_over_resized_images(multiple: int, sizes: list[int]) -> None:
    grid = Grid()
    network = EmbeddingNetwork(grid)
    views = AveragedViews(network, flip=False, scales=(1.0, 0.5, 1.4), multiple=multiple)(images())
    assert [size[2] for size in grid.sizes] == sizes
    resized = [nn.functional.interpolate(images(), size=(s, s), mode="bilinear", antialias=True) for s in sizes[1:]]
    expected = nn.functional.normalize(sum(network(view) for view in (images(), *resized)), dim=1)
    torch.testing.assert_close(views, expected)


def test_whole_numbers_are_scaled_as_their_float_values() -> None:
    pixels = (images() * 255).to(torch.uint8)
    views = AveragedViews(EmbeddingNetwork(Grid()), flip=False, scales=(0.5,))
    torch.testing.assert_close(views(pixels), views(pixels.float()))


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("batch", [1, 3, 5])
def test_fixed_batches_give_what_one_batch_gives(size: int, batch: int) -> None:
    grid = Grid()
    assert torch.equal(FixedBatch(grid, size)(images(batch)), Grid()(images(batch)))
    assert {shape[0] for shape in grid.sizes} == {size}


def test_outputs_are_float32_unit_vectors_and_constant_sides_are_dropped() -> None:
    output = EmbeddingNetwork(nn.AdaptiveAvgPool2d(1))(images().double())
    assert output.dtype == torch.float32 and output.shape == (2, 3)
    torch.testing.assert_close(output.norm(dim=1), torch.ones(2))
    with pytest.raises(HgldError, match=r"torch.int64 of shape \(2, 3\)"):
        EmbeddingNetwork(nn.Identity())(torch.ones(2, 3, dtype=torch.int64))


def test_features_in_every_layout_of_timm_are_split() -> None:
    tokens = torch.arange(2 * 7 * 5).view(2, 7, 5).float()
    prefix, positions = split_features(tokens, 3, 5)
    assert torch.equal(prefix, tokens[:, :3]) and torch.equal(positions, tokens[:, 3:].transpose(1, 2))
    first = torch.arange(2 * 5 * 3 * 4).view(2, 5, 3, 4).float()
    for features in (first, first.permute(0, 2, 3, 1)):
        prefix, positions = split_features(features, 0, 5)
        assert prefix.shape == (2, 0, 5) and torch.equal(positions, first.flatten(2))
    with pytest.raises(HgldError, match="expected a feature map"):
        split_features(torch.ones(2, 5), 0, 5)


def test_digest_is_of_names_types_and_values() -> None:
    def digest(**state: Tensor) -> str:
        module = nn.Module()
        for name, value in state.items():
            module.register_buffer(name, value)
        return weights_digest(module)

    ones = torch.ones(2, 3)
    assert digest(a=ones, b=ones) == digest(b=ones, a=torch.ones(3, 2).T.contiguous())
    assert digest(a=torch.arange(6.0).view(2, 3)) == digest(a=torch.arange(6.0).view(2, 3).T.contiguous().T)
    others = [digest(a=ones), digest(b=ones), digest(a=ones.T), digest(a=ones.half()), digest(a=ones + 1e-7)]
    assert len(set(others)) == len(others)


def test_probe_images_are_fixed_and_text_has_no_addresses() -> None:
    assert probe_image(1).tobytes() == probe_image(1).tobytes() != probe_image(2).tobytes()
    assert text_of([lambda: 1]) == text_of([lambda: 1])
