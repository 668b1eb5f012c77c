"""Stage `check`: are the settings, the curated files and the verdicts valid? Every stage that starts a branch waits.

DVC deletes the outputs of a stage before it runs the stage. This one has no outputs that anybody would miss, so an
invalid cell in a verdict file stops the pipeline while the previous queue and release are still there.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.foundation.settings import Params
from hgld.hierarchy.curation.file_checks import file_problems
from hgld.hierarchy.curation.verdicts import REVIEW_FOLDER, rename_hint


def run(params: Params, setting_problems: Sequence[str]) -> None:
    """Write `data/P/check/valid.json`, which is always the same: what depends on it runs for its own inputs only.

    setting_problems: those of the settings for losses and metrics, which this package does not know.

    Raises HgldError that lists all problems. What depends on results of the pipeline is left to `hgld check`.
    """
    problems = [*setting_problems, *file_problems(Path(params.build.taxonomy), REVIEW_FOLDER)]
    if problems:
        raise HgldError(f"{len(problems)} problem(s); no stage was run:", *problems, *rename_hint(problems))
    names = ["params.yaml", params.build.taxonomy, str(REVIEW_FOLDER)]
    write_text(json.dumps({"valid": names}) + "\n", params.data / "check" / "valid.json")
