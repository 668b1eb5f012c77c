"""What a user reports about a landmark is shown as it is, and makes no candidate for its label."""

from pathlib import Path

from hgld.hierarchy.curation.errata import Report
from hgld.pipeline.review.landmark_evidence import LandmarkEvidence
from hgld.pipeline.review.queue_items import Item


def test_a_report_cannot_pretend_to_be_scored_evidence(checkout: Path, proposed) -> None:
    what = "x: church 0.99; name: village 0.98; class name: tower 0.97;"
    said = Report("Unknown Lake", what, "https://example.org/a;b", "2026-01-03", by="y: z 0.96; name: zoo 0.95").text()
    evidence = f"{said}; name: river 0.40"
    item = Item("Unknown Lake", "lake", "clip", "0.55", "0.20", "", "2", "reported", evidence)
    shown = LandmarkEvidence(proposed.params, ["lake", "church", "village", "tower", "zoo", "river"]).of(item)
    assert shown["evidence"] == [said, "name: river 0.40"]
    assert [candidate["label"] for candidate in shown["candidates"]] == ["lake", "river"]
    assert shown["why"] == "Somebody reported that its label is wrong."
