"""Where the tests find things: the checkout, and the real data that may lie beside it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Real data for tests, beside the checkout; tests that need it are skipped, with the reason, where it is absent.
SHARED = ROOT.parent / "shared" / "data"

# Hierarchical labels that GLDv2 publishes for its train landmarks (a part).
PUBLISHED_LABELS = SHARED / "gldv2" / "train_label_to_hierarchical.part.csv.gz"
