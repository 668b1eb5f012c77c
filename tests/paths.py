"""Where the tests find things: the checkout, and the real data that may lie beside it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Real data for tests, beside the checkout; tests that need it are skipped, with the reason, where it is absent.
SHARED = ROOT.parent / "shared" / "data"
