"""Stage `check`: are the settings, the curated files and the verdicts valid? Every stage that starts a branch waits.

DVC deletes the outputs of a stage before it runs the stage. This one has no outputs that anybody would miss, so an
invalid cell in a verdict file stops the pipeline while the previous queue and release are still there.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import write_text
from hgld.foundation.settings import Params, profiles
from hgld.foundation.tables import write_csv
from hgld.hierarchy.curation.file_checks import file_problems
from hgld.hierarchy.curation.rejected_items import rejected_items
from hgld.hierarchy.curation.settled_verdicts import settled
from hgld.hierarchy.curation.verdicts import REVIEW_FOLDER, load_verdicts, rename_hint
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy


def run(params: Params, setting_problems: Sequence[str]) -> None:
    """Write `data/P/check/valid.json`, which is always the same: what depends on it runs for its own inputs only.

    Beside it goes rejected_items.csv, the items that verdicts reject, so that `build` does not depend on all verdicts.

    setting_problems: those of the settings for losses and metrics, which this package does not know.

    Raises HgldError that lists all problems. What depends on results of the pipeline (whether the categories of the
    verdicts exist, and whether the curated rows match the class graph) is left to `hgld check`.
    """
    problems = [*setting_problems, *input_problems(params, REVIEW_FOLDER)]
    if problems:
        raise HgldError(f"{len(problems)} problem(s); no stage was run:", *problems, *rename_hint(problems))
    names = ["params.yaml", params.build.taxonomy, str(REVIEW_FOLDER)]
    write_text(json.dumps({"valid": names}) + "\n", params.data / "check" / "valid.json")
    labels = load_taxonomy(Path(params.build.taxonomy)).natures
    verdicts = load_verdicts(REVIEW_FOLDER, labels, params.verdict_profiles)
    agreed, _ = settled(verdicts, params.release.adjudicators)
    write_csv(rejected_items(agreed), params.data / "check" / "rejected_items.csv")


def input_problems(params: Params, review: Path) -> list[str]:
    """The problems of the curated files, of the verdicts, and of the profiles that these and the settings name."""
    names = profiles()
    unknown = [name for name in params.release.verdicts_from if name not in names]
    return [
        *(
            f"params.yaml: {params.profile}.release.verdicts_from: no profile '{name}'{suggest(name, names)}"
            for name in unknown
        ),
        *file_problems(Path(params.build.taxonomy), review, names),
    ]
