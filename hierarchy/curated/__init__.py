"""The CSV files, decided by people, from which labels follow; the code that reads them is elsewhere in hierarchy."""

from pathlib import Path

CURATED = Path(__file__).parent
