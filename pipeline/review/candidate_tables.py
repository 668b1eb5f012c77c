"""Every category and class that may be reviewed, with its suggestion of now; the stages' tables are read once."""

from pathlib import Path
from threading import Lock

import pandas as pd

from hgld.foundation.settings import Params
from hgld.hierarchy.curation.verdict import CLASS
from hgld.hierarchy.curation.verdicts import load_verdicts
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.stages.queue import Suggestions, candidate_tables, read_suggestions


class CandidateTables:
    """The candidates of a profile. Safe to use from several threads."""

    def __init__(self, params: Params, folder: Path) -> None:
        self.params, self.folder = params, folder
        self.taxonomy = load_taxonomy(Path(params.build.taxonomy))
        self._lock = Lock()
        self._suggestions: Suggestions | None = None
        self._verdicts: pd.DataFrame | None = None
        self._tables = (pd.DataFrame(), pd.DataFrame())

    def of_now(self, verdicts: pd.DataFrame | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The landmarks and the classes (columns COLUMNS of the queue); not to be changed.

        verdicts: those on classes, by default as they are on disk now.

        Raises HgldError for a damaged table of a stage, and when a verdict file is malformed.
        """
        if verdicts is None:
            verdicts = load_verdicts(self.folder, self.taxonomy.natures, self.params.verdict_profiles, CLASS)
        with self._lock:
            if self._suggestions is None:
                self._suggestions = read_suggestions(self.params, self.taxonomy)
            if self._verdicts is None or not self._verdicts.equals(verdicts):
                self._tables, self._verdicts = candidate_tables(self._suggestions, verdicts), verdicts
            return self._tables
