"""Gradient caching against one pass: real timm networks, random augmentation, layers with state, autocast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.models.network import Architecture, build_network
from hgld.benchmarks.training.gradient_caching import cached_backward
from hgld.foundation.errors import HgldError

COUNT = 12
LABELS = torch.tensor([[n // 2, n // 4, n // 6] for n in range(COUNT)])


class Embedder(nn.Module):
    """A timm backbone in training mode, L2-normalised; float64, so that rounding cannot hide a fault."""

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__()
        self.backbone: Any = timm.create_model(name, pretrained=False, num_classes=0, **settings)

    def forward(self, pixels: Tensor) -> Tensor:
        return nn.functional.normalize(self.backbone(pixels), dim=1)


def embedder(name: str, **settings: Any) -> Embedder:
    torch.manual_seed(3)
    if name == "test_vit":
        settings["img_size"] = 64
    return Embedder(name, **settings).double().train()


def images(size: int = 64, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(COUNT, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=dtype)


def rank_loss(embeddings: Tensor) -> Tensor:
    return LOSSES["sup_hap"]()(embeddings, LABELS)


def pop_gradients(network: nn.Module) -> dict[str, Tensor]:
    """The gradients by name, which are then cleared."""
    gradients = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    return gradients


def one_pass(
    network: nn.Module,
    chunks: Any,
    loss: Callable[[Tensor], Tensor] = rank_loss,
    augment: Callable[[Tensor], Tensor] = lambda chunk: chunk,
) -> tuple[Tensor, dict[str, Tensor]]:
    """All chunks with their graphs at once; -> value and gradients."""
    value = loss(torch.cat([network(augment(chunk)) for chunk in chunks]))
    value.backward()  # type: ignore[no-untyped-call]
    return value.detach(), pop_gradients(network)


def assert_equal_gradients(result: dict[str, Tensor], expected: dict[str, Tensor], within: float) -> None:
    """The same parameters have gradients, with differences of at most `within` relative to the largest gradient."""
    assert result.keys() == expected.keys()
    largest = max(float(g.abs().max()) for g in expected.values())
    assert largest > 0
    worst = max(float((result[name] - expected[name]).abs().max()) for name in expected)
    assert worst <= within * largest, f"{worst / largest:.1e}"


def freeze_batchnorm(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@pytest.mark.parametrize("chunk", [1, 5, 12])
@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_resnet"])
def test_gradients_equal_those_of_the_whole_batch(name: str, chunk: int) -> None:
    network = embedder(name)
    freeze_batchnorm(network)
    value, expected = one_pass(network, [images()])
    cached = cached_backward(network, images().split(chunk), rank_loss)
    torch.testing.assert_close(cached, value, atol=1e-12, rtol=0)
    assert_equal_gradients(pop_gradients(network), expected, within=1e-9)


@pytest.mark.parametrize("backbone", ["test_vit", "test_convnext"])
def test_gradients_of_the_retrieval_network_are_equal_in_float32(backbone: str) -> None:
    size = 160 if backbone == "test_vit" else 64
    architecture = Architecture(backbone=backbone, dim=16, pooling="gem", image_size=size)
    network = build_network(architecture, seed=0)
    pixels = torch.randint(
        0, 256, (COUNT, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    value, expected = one_pass(network, pixels.split(5))
    cached = cached_backward(network, pixels.split(5), rank_loss)
    torch.testing.assert_close(cached, value, atol=1e-6, rtol=0)
    assert_equal_gradients(pop_gradients(network), expected, within=1e-6)


def test_augmentation_dropout_and_drop_path_are_replayed() -> None:
    network = embedder("test_vit", drop_path_rate=0.3, proj_drop_rate=0.2)
    augment = v2.Compose([v2.RandomResizedCrop(64, scale=(0.6, 1.0)), v2.RandomHorizontalFlip()])
    chunks = images(72).split(5)
    torch.manual_seed(11)
    value, expected = one_pass(network, chunks, augment=augment)
    after = torch.get_rng_state()
    torch.manual_seed(11)
    cached = cached_backward(network, chunks, rank_loss, augment=augment)
    assert torch.equal(cached, value)
    assert_equal_gradients(pop_gradients(network), expected, within=1e-9)
    assert torch.equal(torch.get_rng_state(), after)
    assert not torch.equal(cached_backward(network, chunks, rank_loss, augment=augment), value)


def test_random_loss_is_computed_once() -> None:
    network = embedder("test_convnext")

    def noisy(embeddings: Tensor) -> Tensor:
        return rank_loss(nn.functional.normalize(embeddings + 0.01 * torch.randn_like(embeddings), dim=1))

    torch.manual_seed(2)
    value, expected = one_pass(network, images().split(4), noisy)
    after = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(cached_backward(network, images().split(4), noisy), value)
    assert_equal_gradients(pop_gradients(network), expected, within=1e-9)
    assert torch.equal(torch.get_rng_state(), after)


def test_batchnorm_in_training_mode_equals_the_chunks_and_updates_once() -> None:
    network, same = embedder("test_resnet"), embedder("test_resnet")
    value, expected = one_pass(same, images().split(5))
    cached = cached_backward(network, images().split(5), rank_loss)
    torch.testing.assert_close(cached, value, atol=1e-12, rtol=0)
    assert_equal_gradients(pop_gradients(network), expected, within=1e-9)
    for name, buffer in same.named_buffers():
        assert torch.equal(network.get_buffer(name), buffer), name
    assert int(network.get_buffer(_counter(network))) == 3


def _counter(network: nn.Module) -> str:
    return next(name for name, _ in network.named_buffers() if name.endswith("num_batches_tracked"))


def test_layer_with_state_is_replayed() -> None:
    """Spectral norm does one power iteration per forward pass; the second pass must start where the first did."""

    def network() -> nn.Module:
        torch.manual_seed(1)
        layers = nn.Sequential(nn.Flatten(), nn.utils.parametrizations.spectral_norm(nn.Linear(48, 6)))
        return layers.double().train()

    ours, same = network(), network()
    value, expected = one_pass(same, images(4).split(5))
    assert torch.equal(cached_backward(ours, images(4).split(5), rank_loss), value)
    assert_equal_gradients(pop_gradients(ours), expected, within=1e-12)
    for name, buffer in same.named_buffers():
        assert torch.equal(ours.get_buffer(name), buffer), name


def test_proxies_get_their_gradient_once_and_gradients_accumulate() -> None:
    network = embedder("test_convnext")
    cluster = LOSSES["cluster"](num_classes=6, dim=64, seed=1).double()  # type: ignore[attr-defined]

    def loss(embeddings: Tensor) -> Tensor:
        return 0.9 * rank_loss(embeddings) + 0.1 * cluster(embeddings, LABELS)

    both = nn.ModuleDict({"network": network, "loss": cluster})
    value = loss(network(images()))
    (2 * value).backward()  # type: ignore[no-untyped-call]
    expected = pop_gradients(both)
    for _ in range(2):
        cached_backward(network, images().split(5), loss)
    assert_equal_gradients(pop_gradients(both), expected, within=1e-9)


def test_proxies_of_a_frozen_network_get_their_gradient() -> None:
    network = embedder("test_convnext").requires_grad_(False)
    cluster = LOSSES["cluster"](num_classes=6, dim=64).double()  # type: ignore[attr-defined]
    cached_backward(network, images().split(5), lambda embeddings: cluster(embeddings, LABELS))
    assert cluster.weight.grad.abs().max() > 0
    assert not pop_gradients(network)


def test_autocast_around_the_call_leaves_no_weight_without_gradient() -> None:
    """Older torch reuses autocast's copies of the weights from the pass without a graph, and gradients vanish."""
    network = embedder("test_vit").float()
    chunks = images(dtype=torch.float32).split(5)
    # Without the cache gradients of the chunks accumulate in float32, as in gradient caching, and not in bfloat16.
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        value = rank_loss(torch.cat([network(chunk) for chunk in chunks]))
    value.backward()  # type: ignore[no-untyped-call]
    expected = pop_gradients(network)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cached = cached_backward(network, chunks, rank_loss)
        assert torch.is_autocast_enabled("cpu")
    assert torch.equal(cached, value.detach())
    assert_equal_gradients(pop_gradients(network), expected, within=1e-6)


def test_one_graph_is_alive_at_a_time() -> None:
    alive, most = 0, 0

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            nonlocal alive, most
            if x.requires_grad:
                alive += 1
                most = max(most, alive)
            return x.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            nonlocal alive
            alive -= 1
            return gradient

    class Watched(Embedder):
        def forward(self, pixels: Tensor) -> Tensor:
            out: Tensor = Counted.apply(super().forward(pixels))
            return out

    network = Watched("test_convnext").double()
    cached_backward(network, images().split(3), rank_loss)
    assert (alive, most) == (0, 1)


def test_augmentation_from_another_generator_raises() -> None:
    architecture = Architecture(backbone="test_resnet", dim=8, pooling="gem", image_size=32)
    network = build_network(architecture, seed=0)
    freeze_batchnorm(network)
    generator = np.random.default_rng(0)

    def flip(chunk: Tensor) -> Tensor:
        return torch.stack([image.flip(-1) if generator.random() < 0.5 else image for image in chunk])

    with pytest.raises(HgldError, match="draw the augmentation from torch's random generator"):
        cached_backward(network, (images(32) * 255).split(5), rank_loss, augment=flip)


def test_failed_second_pass_restores_the_random_state() -> None:
    calls = 0

    class Fails(Embedder):
        def forward(self, pixels: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            if calls == 5:
                raise MemoryError
            return super().forward(pixels + 0 * torch.rand(()))

    network = Fails("test_convnext").double()
    torch.manual_seed(4)
    torch.rand(3)
    after = torch.get_rng_state()
    torch.manual_seed(4)
    with pytest.raises(MemoryError):
        cached_backward(network, images().split(4), rank_loss)
    assert torch.equal(torch.rand(2), _next(after))


def _next(state: Tensor) -> Tensor:
    return torch.rand(2, generator=torch.Generator().set_state(state))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cached_backward(nn.Identity(), [], rank_loss), "at least one chunk"),
        (lambda: cached_backward(nn.Identity(), [images()], rank_loss), r"\(n, d\); got \(12, 3, 64, 64\)"),
    ],
)
def test_wrong_arguments_are_errors(call: Callable[[], object], message: str) -> None:
    with pytest.raises(HgldError, match=message):
        call()
