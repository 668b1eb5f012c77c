"""Label your own landmarks: by their names alone, then by Wikidata, through a SPARQL endpoint on this machine.

    python examples/label_my_landmarks.py

The endpoint serves the Wikidata facts of the sample. The commands for the same are `hgld classify`, and `hgld serve`
with `hgld assign`; a public endpoint needs no `serving`, but your contact address as user_agent.
"""

import tempfile
from pathlib import Path

import pandas as pd

from hgld.pipeline.commands.assign import assign
from hgld.pipeline.commands.classify import classify
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.sparql.oxigraph import serving

FACTS = Path(__file__).parents[1] / "sources" / "sample" / "wikidata"
CATEGORIES = ["Hoover Dam", "St. Paul's Cathedral", "Wat Arun", "Theatinerkirche (Munich)"]

with tempfile.TemporaryDirectory() as scratch:
    mine, by_name, by_class = (Path(scratch, f"{name}.csv") for name in ("mine", "by_name", "by_class"))
    pd.DataFrame({"landmark_id": range(len(CATEGORIES)), "category": CATEGORIES}).to_csv(mine, index=False)

    classify(mine, "category", by_name)
    print(
        pd.read_csv(by_name, dtype=str)[["category", "hierarchical_label", "score", "because"]].to_string(index=False)
    )

    with serving([FACTS]) as endpoint:
        assign(mine, Endpoint(endpoint, user_agent="label_my_landmarks"), by_class)
    print(pd.read_csv(by_class, dtype=str)[["category", "hierarchical_label", "qid", "path"]].to_string(index=False))
