"""The sample without its images, through all real stages: GLDv2's files, a SPARQL server, hierarchy and release."""

import shutil
from pathlib import Path

from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import write_csv
from hgld.pipeline.sample.pictures import all_pictures, read_landmarks
from hgld.pipeline.sample.world import metadata
from hgld.pipeline.stages import build, download, embed, images, refine, release, wikidata
from tests.paths import ROOT

FACTS, CURATED = Path("facts"), Path("curated")


def checkout(folder: Path) -> None:
    """Write the inputs of the stages into `folder`, the working directory: edit them, then `run`."""
    for name in ("DATA_CARD.md", "CITATION.cff"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "hierarchy/curated", CURATED, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copytree(ROOT / "sources/sample/wikidata", FACTS)
    landmarks = read_landmarks(ROOT / "sources/sample/landmarks.csv")
    for name, table in metadata(landmarks, all_pictures(landmarks)).items():
        path = Path("source/metadata") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_csv(table, path)


def settings() -> Params:
    """The settings of such a checkout."""
    params = load_params(ROOT / "params.yaml", "sample")
    sections = {
        "download": params.download.model_copy(update={"source": "source", "require_md5": False}),
        "images": params.images.model_copy(update={"source": "source", "train": 0, "index": 0, "test": 0}),
        "wikidata": params.wikidata.model_copy(update={"facts": str(FACTS)}),
        "build": params.build.model_copy(update={"taxonomy": str(CURATED)}),
        "refine": params.refine.model_copy(update={"truth": None}),
    }
    return params.model_copy(update=sections)


def run(params: Params) -> Path:
    """Run every stage up to the release; its folder."""
    for stage in (download, images, wikidata, build, embed, refine, release):
        stage.run(params)
    return params.data / "release"
