"""The command line: each command parses, calls one function and echoes; it imports heavy modules itself."""

import errno
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from hgld.benchmarks.command_options import (
    COMPUTE_OPTIONS,
    DATA_OPTIONS,
    FORMAT,
    MODEL_OPTIONS,
    comma_list,
    with_options,
)
from hgld.foundation.display.visible import echo, echo_text, visible
from hgld.pipeline.command_options import (
    CITE_OPTIONS,
    EXPORT_OPTIONS,
    OVERLAP_OPTIONS,
    PUBLISH_OPTIONS,
    REPORT_OPTIONS,
    REVIEW_OPTIONS,
    VERIFY_OPTIONS,
)

STAGES = {
    "download": "Download GLDv2's metadata, verify it, and write typed Parquet.",
    "images": "Download GLDv2's image tars, verify them, and index the images in them.",
    "wikidata": "Match Commons categories to Wikidata items; fetch their classes and the class graph.",
    "build": "Turn the class graph into a hierarchy and label every category that has a class.",
    "embed": "Compute CLIP embeddings of the prompts and of the images of unlabelled landmarks.",
    "refine": "Turn the embeddings into one proposal per unlabelled category.",
    "queue": "Order the doubtful labels for the annotators, most useful first.",
    "release": "Decide every label and write the release: labels, splits, provenance, checksums.",
    "train": "Train a retrieval model on the release; write its checkpoint and curves.",
}

_SECTIONS = {
    "Stages of the pipeline, in order (dvc repro runs them)": [*STAGES, "benchmark"],
    "For researchers": ["data", "leaderboard", "evaluate"],
    "For annotators": ["review", "thumbnails", "show", "check"],
    "For users of a release": ["browse", "verify", "export", "overlap", "cite", "report"],
    "For any list of landmarks": ["assign", "classify", "compare", "serve"],
    "For maintainers": ["card", "archive", "publish", "graph", "sample"],
}


def _shown(error: click.ClickException) -> click.ClickException:
    """An error of click with its message on one line, as it quotes what was typed."""
    error.message = visible(error.message)  # type: ignore[misc]  # final, says click
    return error


def _keep_standard_files() -> None:
    """Open /dev/null in the place of standard files that are closed: the next file opened would take their place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


class _Commands(click.Group):
    """Lists the commands by section, suggests names, and turns HgldError into a message and exit code 1."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; what no command expects of the machine is one line too: a full disk, no memory, no output."""
        _keep_standard_files()
        try:
            if sys.stdout is None:
                raise OSError(errno.EBADF, "standard output is closed; redirect it to a file or to /dev/null")
            return super().main(*args, **kwargs)
        except OSError as error:
            fault = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
            if not fault:
                raise
        except (MemoryError, RuntimeError) as error:
            from hgld.foundation.errors import lacks_memory

            if not lacks_memory(error):
                raise
            fault = f"out of memory ({' '.join(str(error).split())[:200]}); use a smaller input or batch"
        click.echo(f"Error: {visible(fault)}", err=True)
        sys.exit(1)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in _SECTIONS.items():
            commands = [(name, self.commands[name]) for name in names]
            with formatter.section(title):
                formatter.write_dl([(name, command.get_short_help_str(90)) for name, command in commands])

    def invoke(self, ctx: click.Context) -> Any:
        from hgld.foundation.errors import HgldError

        try:
            return super().invoke(ctx)
        except HgldError as error:
            raise click.ClickException(str(error)) from None
        except click.ClickException as error:
            raise _shown(error) from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.ClickException as error:
            raise _shown(error) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from hgld.foundation.errors import suggest

        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(f"no command '{visible(args[0])}'{suggest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="hgld")
def main() -> None:
    """Build the hierarchical Google Landmarks v2 dataset, and measure how well a model respects the hierarchy.

    `dvc repro` runs all stages, `hgld review` is for annotators, and `hgld benchmark model.pt` scores a checkpoint.
    Run the commands in the root of the repository; all settings are in params.yaml.
    """


_profile = click.option("--profile", metavar="NAME", help="Profile of params.yaml (default: the selected one).")
# Whether a path exists and is a file is checked by the code that opens it, for a specific message and exit code 1.
_file = click.Path(path_type=Path)
_folder = click.Path(file_okay=False, path_type=Path)


def _checksums(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """The values FILE=MD5 as a dictionary."""
    checksums = {}
    for value in values:
        file, _, md5 = value.rpartition("=")
        if not file or len(md5) != 32 or set(md5.lower()) - set("0123456789abcdef"):
            raise click.BadParameter(f"expected FILE=MD5 with 32 hex digits, found {value!r}")
        checksums[file] = md5.lower()
    return checksums


_accept_md5 = click.option(
    "--accept-md5", "accept", multiple=True, metavar="FILE=MD5", callback=_checksums,
    help="Accept FILE (such as train/images_000.tar) with this MD5 even if another one, or none, is published. It is "
    "recorded in the manifest and applies to later runs.",
)  # fmt: skip
_refresh = click.option("--refresh", is_flag=True, help="Discard the cached responses of earlier runs and query again.")
_freeze = click.option(
    "--freeze", "freeze_to", type=_folder, metavar="FOLDER",
    help="Also write the fetched facts to FOLDER: to commit, and to run from later (wikidata.facts in params.yaml).",
)  # fmt: skip
_STAGE_OPTIONS = {"download": [_accept_md5], "images": [_accept_md5], "wikidata": [_refresh, _freeze]}


def _is_own_data(data: str | None, profile: str | None) -> bool:
    """Data of a user's own: the settings of the release do not concern them, unless a profile is named."""
    return data is not None and profile is None


def _add_stage(name: str, text: str) -> None:
    @main.command(name, help=f"{text} (A stage of dvc.yaml.)", short_help=text)
    @_profile
    def command(profile: str | None, **options: Any) -> None:
        from hgld.pipeline.stages.previous_outputs import put_back

        put_back(profile)  # before the slow imports: until then, the previous outputs are deleted
        from hgld.foundation.settings import load_params

        params = load_params(profile=profile)
        importlib.import_module(f"hgld.pipeline.stages.{name}").run(params, **options)

    for option in _STAGE_OPTIONS.get(name, ()):
        option(command)


for _name, _text in STAGES.items():
    if _name != "train":
        _add_stage(_name, _text)


@main.command(short_help=STAGES["train"])
@click.argument("run", required=False)
@with_options(DATA_OPTIONS)
@click.option(
    "--out", type=_folder, help="Write model.pt, curves.csv and metrics.json here (default: trained/RUN-DATA)."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), metavar="N", help="Seed of the weights and batches.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one setting, such as lr=1e-4 or "
              "loss.0.settings.tau=0.02 (repeatable).")  # fmt: skip
@_profile
def train(run: str | None, profile: str | None, **options: Any) -> None:
    """Train a retrieval model on the release, or on any data; an interrupted training resumes.

    RUN is a YAML file with the settings that differ from the defaults (on the release: from params.yaml), or a recipe:
    roadmap, roadmap_plus, happier, happier_f, road_ndcg, road_recall, or a baseline such as smooth_ap. Without any
    argument this is the stage of dvc.yaml. docs/train.md describes all settings.
    """
    from hgld.foundation.settings import load_params, params_here
    from hgld.pipeline.stages.previous_outputs import put_back

    given = {name: value for name, value in options.items() if value is not None and value != ()}
    here = Path("params.yaml").exists()
    if run is None and not given and (here or profile):
        put_back(profile)
        importlib.import_module("hgld.benchmarks.training.train").run(load_params(profile=profile))
        return
    from hgld.benchmarks.run_files.command import Order, train_run

    params = None if _is_own_data(given.get("data"), profile) else params_here(profile)
    if "data" not in given and here:
        put_back(profile)
    echo(f"written to {train_run(Order(run=run, **given), params)}")


@main.command()
@click.argument("models", metavar="MODEL…", nargs=-1, required=True)
@with_options(DATA_OPTIONS)
@with_options(MODEL_OPTIONS)
@with_options(COMPUTE_OPTIONS)
@click.option("--out", type=_folder, help="Write metrics.json, per_query.parquet and report.html here; for several "
              "models into a folder each, and leaderboard.html.")  # fmt: skip
@FORMAT
@_profile
def benchmark(models: tuple[str, ...], out: Path | None, form: str, profile: str | None, **options: Any) -> None:
    """Score MODEL on the release or on any data: print a table, and write an HTML report to --out.

    MODEL is a checkpoint of `hgld train`, weights with --backbone, timm:NAME, open_clip:NAME/PRETRAINED, embeddings
    (.npz, .npy, .parquet), an ONNX or TorchScript file, or package.module:function; see docs/evaluate.md. Several
    models, which may be NAME=MODEL, are compared in one table.
    """
    from hgld.pipeline.stages.previous_outputs import put_back

    put_back(profile)
    from hgld.benchmarks.evaluation.benchmark import Choice
    from hgld.benchmarks.evaluation.benchmark import benchmark as score
    from hgld.benchmarks.evaluation.scoring import OtherRankError
    from hgld.foundation.settings import params_here

    choice = Choice.of(options)
    params = None if _is_own_data(choice.data, profile) else params_here(profile)
    try:
        if len(models) == 1 and form == "table":
            echo_text(score(models[0], params, out, choice).text())
            return
        from hgld.benchmarks.comparison.formats import FORMATS
        from hgld.benchmarks.comparison.several_models import benchmark_all

        echo_text(FORMATS[form](benchmark_all(models, params, out, choice)).removesuffix("\n"))
    except OtherRankError as done:  # not an error: torchrun would end the others
        echo(str(done))


@main.command()
@click.argument("data", required=False)
@with_options(DATA_OPTIONS[1:])
@click.option("--check-images", is_flag=True, help="Also decode every image, and list those that cannot be.")
@_profile
def data(
    data: str | None, levels: tuple[str, ...] | None, split: str | None, check_images: bool, profile: str | None
) -> None:
    """Print what is found in DATA: images, classes per level, how they are split and used, and what is wrong.

    DATA is a table (CSV or Parquet with the columns path, split and the levels), a folder (coarse/fine/image.jpg), the
    folder of a published dataset, or LAYOUT:FOLDER; without it, the release. docs/data.md describes all of them.
    """
    from hgld.benchmarks.datasets.files.description import describe
    from hgld.benchmarks.datasets.registry import open_data
    from hgld.foundation.settings import load_params

    params = None if data is not None and not Path("params.yaml").exists() else load_params(profile=profile)
    threads = params.benchmark.threads if params else 2
    with open_data(data, params, levels=levels, split=split) as dataset:
        echo_text(describe(dataset, check_images=check_images, threads=threads))


@main.command()
@click.argument("results", nargs=-1, required=True)
@click.option(
    "--metrics",
    callback=comma_list(str, "names separated by commas"),
    metavar="M,M,…",
    help="Which, such as H-AP,R@1_l0 (default: all that every result has).",
)
@click.option("--baseline", metavar="NAME", help="Compare with this result (default: the best one of each metric).")
@FORMAT
@click.option("--out", type=_file, metavar="FILE", help="Write it to FILE instead of printing it.")
@click.option(
    "--resamples",
    type=click.IntRange(100, 1_000_000),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Of the bootstrap and of the test.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, metavar="N",
              help="Seed of the resamples.")  # fmt: skip
def leaderboard(results: tuple[str, ...], form: str, out: Path | None, **options: Any) -> None:
    """Compare models: RESULTS are folders that `hgld benchmark MODEL --out DIR` wrote for the same queries.

    One table of models and metrics, with 95 % bootstrap intervals, differences to the best model, and a paired test of
    each. NAME=DIR gives a result a name; docs/compare.md describes the statistics.
    """
    from hgld.benchmarks.comparison.finished_runs import read_runs
    from hgld.benchmarks.comparison.formats import FORMATS
    from hgld.benchmarks.comparison.leaderboard import compare
    from hgld.foundation.files import check_output, write_text

    runs = read_runs(results)
    if out is not None:
        check_output(out, *(path for run in runs for path in (run.path, run.path.with_name("metrics.json"))))
    text = FORMATS[form](compare(runs, **options))
    if out is None:
        echo_text(text.removesuffix("\n"))
    else:
        write_text(text, out)
        echo(f"written to {out}")


@main.group()
def evaluate() -> None:
    """Score the results of any model under the protocol of a published benchmark: Revisited Oxford/Paris, GLDv2."""


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
_per_query = click.option("--per-query", type=_file, metavar="CSV", help="Write the scores of each query here.")


def _report(result: Any, as_json: bool, per_query: Path | None = None) -> None:
    import json

    if per_query:
        result.write(per_query)
    echo_text(json.dumps(result.to_dict(), indent=2) if as_json else result.text())
    if as_json and (note := getattr(result, "note", "")):
        click.echo(visible(f"Warning: {note}"), err=True)


@evaluate.command()
@click.argument("truth", metavar="GND.pkl", type=_file)
@click.argument("ranking", metavar="RANKS.npy|EMBEDDINGS.npz", type=_file)
@click.option("--distractors", type=click.IntRange(0, 10**12), default=0, show_default=True,
              help="Number of distractor images (R1M: 1001001) after those of the ground truth.")  # fmt: skip
@click.option("--kind", type=click.Choice(["scores", "ranks"]), help="What RANKS.npy holds (default: integers are "
              "ranks, floating-point numbers scores, unless all are whole).")  # fmt: skip
@_json
@_per_query
def revisited(
    truth: Path, ranking: Path, distractors: int, kind: str | None, as_json: bool, per_query: Path | None
) -> None:
    """Revisited Oxford and Paris: Easy, Medium and Hard, mAP and mP@1, 5, 10.

    RANKS.npy has one row per query: image indices from best to worst, or a score for every image. Where it lists only
    the first images (-1 ends a shorter row), the positives that are missing count as missed.
    EMBEDDINGS.npz has the arrays `query` and `index`, one row per image in the order of the ground truth; they are
    compared by cosine similarity. Crop queries to their bounding box before computing their embeddings.
    """
    from hgld.benchmarks.protocols.evaluate_files import evaluate_revisited
    from hgld.foundation.files import check_output

    if per_query:
        check_output(per_query, truth, ranking)
    _report(evaluate_revisited(truth, ranking, distractors=distractors, kind=kind), as_json, per_query)


@evaluate.command()
@click.argument("submission", metavar="SUBMISSION.csv", type=_file)
@click.argument("solution", metavar="SOLUTION.csv", type=_file)
@click.option("--k", type=click.IntRange(1, 10**12), default=100, show_default=True, help="Cut lists here.")
@click.option("--index", type=_file, metavar="CSV", help="index.csv: reject ids not in its column id.")
@_json
@_per_query
def retrieval(
    submission: Path, solution: Path, k: int, index: Path | None, as_json: bool, per_query: Path | None
) -> None:
    """GLDv2 retrieval: mAP@100 on the Public and the Private split.

    SUBMISSION.csv has the columns id,images: index image ids from best to worst, separated by spaces. SOLUTION.csv is
    retrieval_solution_v2.1.csv: id,images,Usage. Every Public and Private query needs a row; Ignored ones are skipped.
    """
    from hgld.benchmarks.protocols.evaluate_files import evaluate_retrieval
    from hgld.foundation.files import check_output

    if per_query:
        check_output(per_query, submission, solution, index)
    _report(evaluate_retrieval(submission, solution, k=k, index=index), as_json, per_query)


@evaluate.command()
@click.argument("submission", metavar="SUBMISSION.csv", type=_file)
@click.argument("solution", metavar="SOLUTION.csv", type=_file)
@click.option("--landmarks", type=_file, metavar="CSV", help="train_label_to_category.csv: reject ids that are not in "
              "its column landmark_id.")  # fmt: skip
@_json
@_per_query
def recognition(
    submission: Path, solution: Path, landmarks: Path | None, as_json: bool, per_query: Path | None
) -> None:
    """GLDv2 recognition: GAP (micro-AP) on the Public and the Private split.

    SUBMISSION.csv has the columns id,landmarks: a train landmark id and a confidence, separated by a space, or empty.
    SOLUTION.csv is recognition_solution_v2.1.csv: id,landmarks,Usage.
    """
    from hgld.benchmarks.protocols.evaluate_files import evaluate_recognition
    from hgld.foundation.files import check_output

    if per_query:
        check_output(per_query, submission, solution, landmarks)
    _report(evaluate_recognition(submission, solution, landmarks=landmarks), as_json, per_query)


@main.command()
@with_options(REVIEW_OPTIONS)
@_profile
def review(
    landmarks: tuple[str, ...],
    annotator: str | None,
    text: bool,
    port: int | None,
    browser: bool,
    report: bool,
    form: str,
    out: Path | None,
    profile: str | None,
    **selection: Any,
) -> None:
    """Review doubtful labels in the browser; each verdict is one row in review/NAME.csv.

    The items are those of the queue, or LANDMARKS: ids, names or URLs of categories, QIDs, or CSV files of these. The
    page is served on this machine only, with the pictures that are on it, and needs no network. Commit the file and run
    `dvc repro` to release the reviewed labels. No stage overwrites a verdict.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.review.queue_items import Selection
    from hgld.pipeline.review.terminal import prompt

    params, chosen = load_params(profile=profile), Selection(keys=landmarks, **selection)
    if report:
        _review_report(params, form, out)
        return
    if out is not None or form != "table":
        raise click.UsageError("--format and --out are of the report: add --report")
    name = prompt.default_annotator() if annotator is None else annotator
    if text:
        prompt.review(params, name, chosen)
        return
    from hgld.pipeline.review.web import server

    server.review(params, name, chosen, port=port, browser=browser)


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1 (default: a free one).")
@click.option("--browser/--no-browser", default=True, help="Open the page, or only print its address.")
@_profile
def browse(port: int | None, browser: bool, profile: str | None) -> None:
    """Browse the release: the hierarchy, its landmarks with their pictures, and why each has its label.

    A read-only page on this machine, which needs no network; it finds landmarks by name, id, QID and label.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.review.web import browse

    browse.browse(load_params(profile=profile), port=port, browser=browser)


@main.command()
@with_options(VERIFY_OPTIONS)
def verify(release: Path, data: Path | None) -> None:
    """Check a release, its folder or archive, as it was downloaded: that it is whole, and that its parts agree.

    Checksums, columns, labels and natures by its taxonomy, paths in its class graph, the landmarks and images of every
    split, and how much the splits share. Each fault is one line, and then the exit code is 1.
    """
    from hgld.foundation.errors import HgldError
    from hgld.pipeline.release.verification import verify

    result = verify.verify(release, data)
    if result.faults:
        raise HgldError(f"{release}: {len(result.faults)} fault(s)", *result.faults)
    echo(f"{release}: no fault found", *result.lines)


@main.command()
@with_options(EXPORT_OPTIONS)
@_profile
def export(release: Path | None, images: Path | None, profile: str | None, **options: Any) -> None:
    """Write a release as CSV, JSON Lines, Parquet, an SQLite database, or WebDataset shards with the images.

    RELEASE is its folder (default: that of the profile). docs/release_tools.md describes the formats.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.release.export import export

    if release is None or (images is None and profile is not None):
        data = load_params(profile=profile).data
        release, images = release or data / "release", images or data / "images"
    echo(*export.export(release, export.Request(images=images, **options)))


@main.command()
@with_options(OVERLAP_OPTIONS)
@_profile
def overlap(release: Path | None, images: Path | None, out: Path | None, profile: str | None, **options: Any) -> None:
    """Find images of a release that show the same picture, in two splits or of two landmarks.

    RELEASE is its folder (default: that of the profile). Needs the image tars, and the library imagehash.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.overlap import overlap

    data = load_params(profile=profile).data
    out = out or data / "overlap" / "pairs.csv"
    folders = (release or data / "release", images or data / "images", out, data / "cache" / "overlap")
    echo(*overlap.overlap(*folders, **options))


@main.command()
@with_options(CITE_OPTIONS)
@_profile
def cite(images: tuple[str, ...], profile: str | None, **options: Any) -> None:
    """Print the credit that the license of a train image asks for: title, author, license, source.

    IMAGE_ID is an image of train, or a CSV file with a column image_id or id.
    """
    from hgld.foundation.errors import HgldError
    from hgld.foundation.settings import load_params
    from hgld.pipeline.commands import cite

    result = cite.cite(load_params(profile=profile), images, **options)
    echo_text(result.text.removesuffix("\n")) if result.text else None
    for note in result.notes:
        click.echo(visible(note), err=True)
    if result.faults:
        raise HgldError(*result.faults)


@main.command()
@with_options(REPORT_OPTIONS)
@_profile
def report(landmark: str, what: str, profile: str | None, **options: Any) -> None:
    """Report that the label of LANDMARK is wrong: one row in review/errata.csv, which the review begins with.

    LANDMARK is an id, a QID, or the name or URL of a category; WHAT_IS_WRONG a sentence.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.release import errata

    echo(errata.report(load_params(profile=profile), landmark, what, Path("review"), **options))


@main.command()
@click.option("--per-landmark", type=click.IntRange(min=1), default=8, show_default=True, help="At most so many "
              "pictures of a landmark, those in the image tars included.")  # fmt: skip
@click.option("--width", type=int, default=500, show_default=True, help="Width in pixels: a standard one of Wikimedia.")
@click.option("--budget", type=click.IntRange(min=1), default=2000, show_default=True, help="Requests per UTC day.")
@click.option("--pause", "pause_s", type=click.FloatRange(min=0), default=0.5, show_default=True, help="Seconds "
              "between two requests.")  # fmt: skip
@click.option("--user-agent", help="Wikimedia requires a contact address in it (default: wikidata.user_agent of "
              "params.yaml).")  # fmt: skip
@click.option("--again", is_flag=True, help="Also try what was missing or broken in an earlier run.")
@click.option("--base-url", hidden=True, default="https://upload.wikimedia.org", help="Another server, for tests.")
@_profile
def thumbnails(user_agent: str | None, profile: str | None, **request: Any) -> None:
    """Fetch pictures of the landmarks in the queue whose image tars are not on this machine.

    They are thumbnails from Wikimedia Commons, in data/PROFILE/thumbnails, with author and license in manifest.csv.
    `hgld review` shows them. An interrupted run resumes; what exceeds the budget is left for a run on another day.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.commands import thumbnails

    params = load_params(profile=profile)
    agent = params.wikidata.user_agent if user_agent is None else user_agent
    thumbnails.thumbnails(params, thumbnails.Request(user_agent=agent, **request))


def _review_report(params: Any, form: str, out: Path | None) -> None:
    """Print how good the verdicts are, or write it to a file."""
    from hgld.foundation.files import check_output, write_text
    from hgld.pipeline.review.quality import quality
    from hgld.pipeline.review.quality_formats import FORMATS

    if out is not None:
        check_output(out)
    text = FORMATS[form](quality(params))
    if out is None:
        echo_text(text.removesuffix("\n"))
    else:
        write_text(text, out)
        echo(f"written to {out}")


@main.command()
@click.argument("key", metavar="LANDMARK_ID|CATEGORY")
@_profile
def show(key: str, profile: str | None) -> None:
    """Print the chain of evidence of one label.

    The same landmark id may occur in train and in index, for different landmarks: both are shown.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.commands import show

    echo_text(show.show(key, load_params(profile=profile)))


@main.command()
@click.option("--strict", is_flag=True, help="The class graph is complete: every row must have an effect.")
@click.option("--fix", is_flag=True, help="First sort the curated files, and write the verdicts in the form of `hgld "
              "review` (after a spreadsheet, a merge, or an older version). Comments stay.")  # fmt: skip
@click.option(
    "--rename", metavar="OLD=NEW", help="First correct the verdicts on a label that the taxonomy has renamed."
)
@click.option("--inputs", is_flag=True, help="The first stage of dvc.yaml: check one profile, without its results, and "
              "write data/PROFILE/check/valid.json, which the other stages wait for.")  # fmt: skip
@_profile
def check(strict: bool, fix: bool, rename: str | None, inputs: bool, profile: str | None) -> None:
    """Validate the curated files: params.yaml, the taxonomy, and the verdicts and reports below review/.

    The losses and metrics of params.yaml are constructed, in every profile unless one is chosen. The taxonomy is
    checked against the class graph of the profile: labels that may both apply need an order, each row an effect.
    """
    from hgld.pipeline.stages.previous_outputs import put_back

    put_back(profile)
    from hgld.benchmarks.evaluation.check_settings import setting_problems
    from hgld.foundation.errors import HgldError
    from hgld.foundation.settings import load_params, profiles
    from hgld.hierarchy.curation.file_checks import fix_files, rename_label
    from hgld.hierarchy.curation.verdicts import rename_hint
    from hgld.pipeline.commands import check
    from hgld.pipeline.stages import check as check_stage

    params = load_params(profile=profile)
    if rename is not None:
        echo(*(rename_label(Path(params.build.taxonomy), Path("review"), rename) or ["No verdict says so."]))
    if fix:
        echo(*(fix_files(Path(params.build.taxonomy), Path("review")) or ["All files are in order."]))
    if inputs:
        check_stage.run(params, setting_problems(params))
        return
    result = check.check(params, Path("review"), strict=strict)
    problems = list(result.problems)
    for name in [profile] if profile else profiles():
        problems += setting_problems(load_params(profile=name))
    if problems:
        raise HgldError(f"{len(problems)} problem(s)", *problems, *rename_hint(problems))
    echo_text(f"The curated files are valid.\n{result.report}")


@main.command()
@click.argument("landmarks", type=_file)
@click.option(
    "--endpoint",
    required=True,
    metavar="URL",
    help="SPARQL endpoint, such as the URL that `hgld serve` prints.",
)
@click.option("-o", "--out", type=_file, required=True, help="Where to write the labels.")
@click.option("--user-agent", default="hgld", show_default=True, help="Public endpoints require a contact address "
              "in it.")  # fmt: skip
@click.option("--cache", type=_folder, help="Cache responses here, so that an interrupted run resumes.")
def assign(landmarks: Path, endpoint: str, out: Path, user_agent: str, cache: Path | None) -> None:
    """Label the landmarks of any CSV with the columns landmark_id,category.

    Writes GLDv2's five columns and the evidence: item, method, candidates, deciding class, path, note.
    """
    from hgld.pipeline.commands import assign
    from hgld.pipeline.sparql.client import Endpoint

    echo(assign.assign(landmarks, Endpoint(endpoint, user_agent, in_flight=2, cache=cache), out))


@main.command()
@click.argument("texts", type=_file)
@click.option("--column", required=True, metavar="NAME", help="Column with the names or URLs.")
@click.option("--labelled", type=_file, metavar="LABELS.csv", help="Names with a hierarchical_label, as training data.")
@click.option("--facts", type=_folder, metavar="DIR", help="Snapshot of Wikidata: data/PROFILE, or a folder with the "
              "tables of `hgld serve` (default: the curated files only).")  # fmt: skip
@click.option("-o", "--out", type=_file, required=True, help="Where to write the labels.")
def classify(texts: Path, column: str, labelled: Path | None, facts: Path | None, out: Path) -> None:
    """Label any list of class names ("parish church"), names of landmarks, or URLs of Commons categories.

    Adds the columns hierarchical_label, score, margin, evidence (the rule that decided) and because (what it matched)
    to those of TEXTS. LABELS.csv has the names in a column NAME or category. Files may be gzipped.
    """
    from hgld.pipeline.commands import classify

    echo(classify.classify(texts, column, out, labelled=labelled, facts=facts))


@main.command()
@click.argument("ours", metavar="A", type=_file)
@click.argument("theirs", metavar="B", type=_file)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--out", type=_folder, help="Write the report as HTML, the results as JSON, and confusion.png here; "
              "of releases also changes.csv.")  # fmt: skip
@click.option("--score", metavar="COLUMN", help="Score column of A (default: probability, else score).")
@click.option("--by", metavar="COLUMN", help="Evidence column of A (default: source, else evidence, else method).")
def compare(ours: Path, theirs: Path, as_json: bool, out: Path | None, score: str | None, by: str | None) -> None:
    """Report the agreement of two label files, or the changes from one release to the next.

    Two CSV files are joined by landmark_id. Precision and recall take B as the truth. Empty labels are counted
    separately. If A has a score column, its calibration and the precision at every coverage are reported too; if A has
    an evidence column, the agreement of each kind of evidence.

    Of two releases (folders, or archives of `hgld archive`), the older one first: the landmarks added and removed, and
    every label that has changed, each with its cause: a verdict, an edit of the taxonomy, another snapshot of Wikidata,
    another proposal, or GLDv2's metadata.
    """
    from hgld.pipeline.commands.compare import compare_paths

    _report(compare_paths(ours, theirs, score=score, evidence=by, out=out), as_json)


@main.command()
@click.argument("facts", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1 (default: a free one).")
def serve(facts: tuple[Path, ...], port: int | None) -> None:
    """Serve FACTS as a SPARQL endpoint on this machine until Ctrl-C.

    FACTS are Turtle or N-Triples files, folders of them, or a folder with the tables subclass_of.tsv.gz,
    instance_of.tsv.gz, labels_en.tsv.gz and commons_category.tsv.gz.
    """
    from hgld.pipeline.sparql.oxigraph import serving, stop_request

    with serving(facts, port) as endpoint:
        stop = stop_request()
        echo(endpoint)
        stop.wait()


@main.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; fail if a number differs from the release.")
@_profile
def card(only_check: bool, profile: str | None) -> None:
    """Write the numbers of the release into DATA_CARD.md."""
    from hgld.foundation.settings import load_params
    from hgld.pipeline.commands import card

    echo_text(card.card(load_params(profile=profile), Path("DATA_CARD.md"), only_check=only_check))


@main.command()
@click.argument("release", type=_folder, required=False)
@click.option("--out", type=_folder, required=True, help="Folder of the published versions.")
@click.option("--previous", type=_file, metavar="OLD", help="The version before, a folder or an archive: what changed "
              "since, and why, becomes part of the archive.")  # fmt: skip
@_profile
def archive(release: Path | None, out: Path, previous: Path | None, profile: str | None) -> None:
    """Write the release, the folder RELEASE, as NAME-VERSION.zip: the same bytes on every machine.

    Without RELEASE, that of the profile. A version that --out already has is never overwritten: if the release has
    other content, the first file that differs is named.

    With --previous, the archive also has CHANGES.md, changes.csv, changes.html, changes.json and deprecated.csv, and
    a version that is too small a step after OLD is refused: a label that moves needs a minor step, another format of
    the files a major one.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.release import archive

    folder = load_params(profile=profile).data / "release" if release is None else release
    echo(*archive.archive(folder, out, previous).lines())


@main.command()
@with_options(PUBLISH_OPTIONS)
@_profile
def publish(release: Path | None, profile: str | None, **options: Any) -> None:
    """Show what publishing RELEASE, a folder or an archive, would send; with --yes, send it.

    Without RELEASE, that of the profile. The files of an archive are sent. It is verified first, as by `hgld verify`. A
    version that is published with other content is never overwritten. The token comes from HF_TOKEN or `hf auth login`,
    or from ZENODO_TOKEN.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.release.publishing import publish

    folder = load_params(profile=profile).data / "release" if release is None else release
    for line in publish.publish(folder, **options):
        echo(line)


@main.command()
@click.option("-o", "--out", type=_folder, help="Folder to write to (default: data/PROFILE/graph).")
@_profile
def graph(out: Path | None, profile: str | None) -> None:
    """Draw the hierarchy of `hgld build` as an interactive sunburst chart in one file, graph.html.

    Also write the class graph with labels and counts: graph.graphml, nodes.parquet and edges.parquet.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.commands import graph

    params = load_params(profile=profile)
    echo(graph.graph(params, out or params.data / "graph"))


@main.group()
def sample() -> None:
    """Make the inputs of the sample profile (stages of sources/sample/dvc.yaml)."""


@sample.command()
def draw() -> None:
    """Draw the images of the sample; write them and their metadata in GLDv2's formats."""
    from hgld.pipeline.sample.world import run

    run()


@sample.command()
def clip() -> None:
    """Train the tiny CLIP model of the sample on drawings of imaginary landmarks and their captions."""
    from hgld.pipeline.sample.tiny_clip import run

    run()


if __name__ == "__main__":
    main()
