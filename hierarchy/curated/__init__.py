"""The hand-edited CSV files from which labels follow, without the code that reads them (taxonomy/, names/)."""

from pathlib import Path

CURATED = Path(__file__).parent
