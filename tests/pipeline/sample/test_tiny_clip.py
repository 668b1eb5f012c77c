"""The tiny CLIP: it loads like any other open_clip model, and equal settings give equal bytes."""

import logging
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import open_clip
import pytest
import torch
from PIL import Image

from hgld.foundation.files import sha256
from hgld.pipeline.sample.captions import LABELS, TEMPLATES, caption, drawings, wordings
from hgld.pipeline.sample.look import seeded
from hgld.pipeline.sample.tiny_clip import CONTEXT, NAME, SIDE, Settings, run

SHORT = Settings(drawings_per_label=2, epochs=1, threads=1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = tmp_path_factory.mktemp("sample")
    run(sources, SHORT)
    return sources / "clip"


def test_it_loads_through_open_clips_public_api(clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_clip.add_model_config(copyfile(clip / "model_config.json", tmp_path / f"{NAME}.json"))
    with caplog.at_level(logging.WARNING):
        model, _, preprocess = open_clip.create_model_and_transforms(NAME, pretrained=str(clip / "model.pt"))
    assert not caplog.records
    assert preprocess.transforms[-1].mean == open_clip.OPENAI_DATASET_MEAN
    pictures = torch.stack([preprocess(Image.new("RGB", (120, 96), colour)) for colour in ("red", "blue")])
    assert pictures.shape == (2, 3, SIDE, SIDE)
    texts = open_clip.get_tokenizer(NAME)(["a photo of a church", "a drawing of a lake"])
    with torch.inference_mode():
        assert model.eval().encode_image(pictures).shape == model.encode_text(texts).shape == (2, 64)


def test_equal_settings_give_equal_bytes_and_leave_torchs_state_alone(clip: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.initial_seed()
    run(tmp_path, SHORT)
    assert before == (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.initial_seed(),
    )
    assert sha256(tmp_path / "clip" / "model.pt") == sha256(clip / "model.pt")
    run(tmp_path, replace(SHORT, seed=8))
    assert sha256(tmp_path / "clip" / "model.pt") != sha256(clip / "model.pt")


def test_every_caption_fits_the_context() -> None:
    tokenize = open_clip.get_tokenizer("ViT-B-32")
    captions = [template.format(name) for template in TEMPLATES for label in LABELS for name in wordings(label)]
    assert (tokenize(captions) != 0).sum(dim=1).max() <= CONTEXT


def test_captions_name_the_label() -> None:
    r = seeded("test")
    assert all("observatory" in caption("observatory", r) for _ in range(50))
    assert {"castle" in caption("castle / fort", r) for _ in range(50)} == {True, False}


def test_each_row_has_one_drawing_per_label_and_each_series_differs() -> None:
    pictures = drawings(1, 32)
    assert pictures.shape == (1, len(LABELS), 32, 32, 3)
    assert (pictures != drawings(1, 32, "others")).any()
