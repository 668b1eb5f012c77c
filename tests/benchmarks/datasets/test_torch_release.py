"""The release in a training loop of one's own: what it gives is what the trainer gets."""

from __future__ import annotations

import pickle
import tarfile
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from hgld.benchmarks.datasets.release import open_release
from hgld.benchmarks.datasets.torch_release import ROLES, TorchRelease
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.foundation.tar_images import UnreadableImageError


@pytest.mark.parametrize("role", ROLES)
def test_it_has_the_images_and_labels_that_the_trainer_and_the_evaluator_use(world: Params, role: str) -> None:
    images = TorchRelease(world.data / "release", world.data / "images", role)
    with open_release(world.data) as dataset:
        expected = getattr(dataset, role)
        assert images.ids == list(expected.ids) and len(images) == len(expected)
        assert torch.equal(images.labels, expected.labels)
        assert (images.levels, images.class_names) == (dataset.levels, dataset.class_names)
        image, labels = images[3]
        assert image.tobytes() == expected.image(3).tobytes() and torch.equal(labels, expected.labels[3])


def test_a_loader_with_workers_batches_it(world: Params) -> None:
    to_tensor = v2.Compose([v2.PILToTensor(), v2.Resize((8, 8))])
    images = TorchRelease(world.data / "release", world.data / "images", transform=to_tensor)
    batches = list(DataLoader(images, batch_size=32, num_workers=1))
    assert [batch.shape for batch, _ in batches] == [(32, 3, 8, 8), (32, 3, 8, 8), (16, 3, 8, 8)]
    assert torch.equal(torch.cat([labels for _, labels in batches]), images.labels)
    assert torch.equal(pickle.loads(pickle.dumps(images))[0][0], images[0][0])


@pytest.mark.parametrize("nested", [True, False])
def test_unpacked_images_are_those_of_the_tars(world: Params, tmp_path: Path, nested: bool) -> None:
    for path in (world.data / "images").rglob("*.tar"):
        with tarfile.open(path) as archive:
            for member in archive.getmembers():
                target = tmp_path / "jpegs" / (member.name if nested else Path(member.name).name)
                target.parent.mkdir(parents=True, exist_ok=True)
                if (data := archive.extractfile(member)) is not None:
                    target.write_bytes(data.read())
    tars = TorchRelease(world.data / "release", world.data / "images", "gallery")
    files = TorchRelease(world.data / "release", tmp_path / "jpegs", "gallery")
    assert all(files[n][0].tobytes() == tars[n][0].tobytes() for n in range(len(tars)))


def test_levels_and_the_clean_subset_are_chosen(world: Params) -> None:
    places = world.data / "release", world.data / "images"
    assert TorchRelease(*places, levels=["hierarchical_label"]).labels.shape == (80, 1)
    assert len(TorchRelease(*places, clean_only=False)) >= len(TorchRelease(*places))


def test_what_is_missing_is_named(world: Params, tmp_path: Path) -> None:
    release = world.data / "release"
    with pytest.raises(HgldError, match=r"no role 'galery'; known: train, query, gallery; did you mean 'gallery'\?"):
        TorchRelease(release, world.data / "images", "galery")
    with pytest.raises(HgldError, match=r"no folder .*nowhere; give that of the tars, or of the JPEGs"):
        TorchRelease(release, tmp_path / "nowhere")
    with pytest.raises(HgldError, match=r"no table .*nowhere/train\.parquet"):
        TorchRelease(tmp_path / "nowhere", world.data / "images")
    images = TorchRelease(release, tmp_path)
    with pytest.raises(HgldError, match=f"image {images.ids[0]}: neither .*/{images.ids[0]}.jpg nor "):
        images[0]
    (tmp_path / f"{images.ids[0]}.jpg").write_bytes(b"\xff\xd8 no picture")
    with pytest.raises(UnreadableImageError, match=rf"{images.ids[0]}\.jpg: not a readable picture"):
        images[0]
