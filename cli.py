"""The command line: parse, call one function, echo. Heavy imports happen inside the command that needs them."""

import importlib
from pathlib import Path
from typing import Any

import click

STAGES = {
    "download": "Fetch GLDv2's metadata, verify them, write typed Parquet.",
    "images": "Fetch GLDv2's image tars, verify them, index what lies where.",
    "wikidata": "Resolve Commons categories to Wikidata items; read their classes and the class graph.",
    "build": "Cut the class graph into a hierarchy and label every category that has a class.",
    "embed": "CLIP embeddings of the prompts and of the images of unlabelled landmarks.",
    "refine": "Turn the embeddings into one proposal per unlabelled category.",
    "queue": "Order what is doubtful for the annotators, most useful first.",
    "release": "Decide every label and write the release: labels, splits, provenance, checksums.",
    "train": "Train a retrieval model on the release; write its checkpoint and curves.",
}


_SECTIONS = {
    "Stages of the pipeline, in their order (dvc repro runs them)": [*STAGES, "benchmark"],
    "For researchers": ["evaluate"],
    "For annotators": ["review", "show", "check"],
    "For any list of landmarks": ["assign", "classify", "compare", "serve"],
    "For maintainers": ["card", "graph", "sample"],
}


class _Commands(click.Group):
    """Turns the errors that a user can act on into one message and exit code 1; lists commands by use."""

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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from hgld.foundation.errors import suggest

        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(f"no command '{args[0]}'{suggest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="hgld")
def main() -> None:
    """Build the hierarchical Google Landmarks v2 dataset, and measure how well a model respects the hierarchy.

    `dvc repro` regenerates everything, `hgld review` is for annotators, and `hgld benchmark model.pt` scores a
    checkpoint. Run the commands in the root of the repository; every setting is in params.yaml.
    """


_profile = click.option(
    "--profile", metavar="NAME", help="Profile of params.yaml (default: the one it names)."
)
# A folder is refused by what reads or writes it, in its own words and with exit code 1.
_file = click.Path(path_type=Path)
_folder = click.Path(file_okay=False, path_type=Path)


def _add_stage(name: str, text: str) -> None:
    @main.command(name, help=f"{text} (A stage of dvc.yaml.)", short_help=text)
    @_profile
    def command(profile: str | None, **settings: Any) -> None:
        from hgld.foundation.settings import load_params

        params = load_params(profile=profile)
        folder = "benchmarks.training" if name == "train" else "pipeline.stages"
        importlib.import_module(f"hgld.{folder}.{name}").run(params, **settings)

    if name in ("download", "images"):
        click.option(
            "--accept-md5", "accept", multiple=True, metavar="FILE=MD5", callback=_checksums,
            help="Take FILE (such as train/images_000.tar) with this MD5 although another one, or none, is published. "
            "It is noted in the manifest, and holds for later runs.",
        )(command)  # fmt: skip


def _checksums(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """FILE=MD5 … as a dictionary."""
    found = {}
    for value in values:
        file, _, md5 = value.rpartition("=")
        if not file or len(md5) != 32 or set(md5.lower()) - set("0123456789abcdef"):
            raise click.BadParameter(f"expected FILE=MD5 with 32 hex digits, found {value!r}")
        found[file] = md5.lower()
    return found


for _name, _text in STAGES.items():
    if _name != "wikidata":
        _add_stage(_name, _text)


@main.command(help=f"{STAGES['wikidata']} (A stage of dvc.yaml.)", short_help=STAGES["wikidata"])
@_profile
@click.option("--refresh", is_flag=True, help="Ask again what earlier runs were already answered.")
@click.option("--freeze", "freeze_to", type=_folder, metavar="FOLDER", help="Also write what was heard to FOLDER, as "
              "facts to commit and to run from again (wikidata.facts in params.yaml).")  # fmt: skip
def wikidata(profile: str | None, refresh: bool, freeze_to: Path | None) -> None:
    """See its help, which is that of the stage."""
    from hgld.foundation.settings import load_params
    from hgld.pipeline.stages.wikidata import run

    run(load_params(profile=profile), refresh=refresh, freeze_to=freeze_to)


@main.command()
@click.argument("model", type=_file)
@click.option("--out", type=_folder, help="Write metrics.json, per_query.parquet and report.html here.")
@_profile
def benchmark(model: Path, out: Path | None, profile: str | None) -> None:
    """Score the checkpoint MODEL on the release: a table here, an HTML report below --out.

    The contract that a checkpoint must fit is in docs/checkpoint.md.
    """
    from hgld.benchmarks.evaluation.benchmark import benchmark as score
    from hgld.foundation.settings import load_params

    click.echo(score(model, load_params(profile=profile), out).text())


@main.group()
def evaluate() -> None:
    """Score anybody's answers under the protocol of a published benchmark: Revisited Oxford/Paris, GLDv2."""


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
_per_query = click.option("--per-query", type=_file, metavar="CSV", help="Write every query's figures here.")


def _tell(found: Any, as_json: bool, per_query: Path | None) -> None:
    import json

    if per_query:
        found.write(per_query)
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else found.text())


@evaluate.command()
@click.argument("truth", metavar="GND.pkl", type=_file)
@click.argument("ranking", metavar="RANKS.npy|EMBEDDINGS.npz", type=_file)
@click.option("--distractors", type=click.IntRange(min=0), default=0, show_default=True,
              help="How many images (R1M: 1001001) follow those of the ground truth.")  # fmt: skip
@_json
@_per_query
def revisited(truth: Path, ranking: Path, distractors: int, as_json: bool, per_query: Path | None) -> None:
    """Revisited Oxford and Paris: Easy, Medium and Hard, mAP and mP@1, 5, 10.

    RANKS.npy holds one row a query: image indices from best to worst (whole numbers), or a score for every image
    (floating). EMBEDDINGS.npz holds `query` and `index`, one row an image in the order of the ground truth; they are
    compared by their cosine. Crop a query to its box before it is embedded.
    """
    from hgld.benchmarks.protocols.evaluate_files import evaluate_revisited

    _tell(evaluate_revisited(truth, ranking, distractors=distractors), as_json, per_query)


@evaluate.command()
@click.argument("submission", metavar="SUBMISSION.csv", type=_file)
@click.argument("solution", metavar="SOLUTION.csv", type=_file)
@click.option(
    "--k", type=click.IntRange(min=1), default=100, show_default=True, help="How much of a list counts."
)
@click.option(
    "--index", type=_file, metavar="CSV", help="index.csv: refuse ids that are not in its column id."
)
@_json
@_per_query
def retrieval(
    submission: Path, solution: Path, k: int, index: Path | None, as_json: bool, per_query: Path | None
) -> None:
    """GLDv2 retrieval: mAP@100, Public and Private apart.

    SUBMISSION.csv has the columns id,images: index image ids from best to worst, separated by spaces. SOLUTION.csv is
    retrieval_solution_v2.1.csv: id,images,Usage. Every Public and Private query needs a row; Ignored ones do not count.
    """
    from hgld.benchmarks.protocols.evaluate_files import evaluate_retrieval

    _tell(evaluate_retrieval(submission, solution, k=k, index=index), as_json, per_query)


@evaluate.command()
@click.argument("submission", metavar="SUBMISSION.csv", type=_file)
@click.argument("solution", metavar="SOLUTION.csv", type=_file)
@click.option("--landmarks", type=_file, metavar="CSV", help="train_label_to_category.csv: refuse ids that are not in "
              "its column landmark_id.")  # fmt: skip
@_json
@_per_query
def recognition(
    submission: Path, solution: Path, landmarks: Path | None, as_json: bool, per_query: Path | None
) -> None:
    """GLDv2 recognition: GAP (micro-AP), Public and Private apart.

    SUBMISSION.csv has the columns id,landmarks: a train landmark id and a confidence, separated by a space, or nothing.
    SOLUTION.csv is recognition_solution_v2.1.csv: id,landmarks,Usage.
    """
    from hgld.benchmarks.protocols.evaluate_files import evaluate_recognition

    _tell(evaluate_recognition(submission, solution, landmarks=landmarks), as_json, per_query)


@main.command()
@click.option("--annotator", metavar="NAME", help="Whose verdicts these are (default: your git user name).")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many items.")
@_profile
def review(annotator: str | None, limit: int | None, profile: str | None) -> None:
    """Judge what the machine is unsure of; each verdict is one row in review/NAME.csv.

    Commit that file and run `dvc repro`: the released labels follow. Nothing ever overwrites a verdict.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.review.terminal import default_annotator
    from hgld.pipeline.review.terminal import review as start

    start(load_params(profile=profile), annotator or default_annotator(), limit=limit)


@main.command()
@click.argument("key", metavar="LANDMARK_ID|CATEGORY")
@_profile
def show(key: str, profile: str | None) -> None:
    """Print the chain of evidence of one label.

    A landmark id may mean one landmark in train and another in index: both are shown.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.commands.show import show as chain

    click.echo(chain(key, load_params(profile=profile)))


@main.command()
@click.option(
    "--strict", is_flag=True, help="The class graph is whole: a row that does nothing in it is a problem."
)
@_profile
def check(strict: bool, profile: str | None) -> None:
    """Validate the curated files: params.yaml, the taxonomy, and the verdicts below review/.

    The losses and metrics that params.yaml names are built, in every profile unless one is chosen. The taxonomy is
    held against the class graph of the profile: are labels that may both apply ordered, is each row of any use?
    """
    from hgld.benchmarks.evaluation.check_settings import setting_problems
    from hgld.foundation.settings import load_params, profiles
    from hgld.pipeline.commands.check import curated

    params = load_params(profile=profile)
    found, text = curated(params, Path("review"), strict=strict)
    for name in [profile] if profile else profiles():
        found += setting_problems(load_params(profile=name))
    if found:
        raise click.ClickException(f"{len(found)} problem(s)\n" + "\n".join(found))
    click.echo(f"The curated files are valid.\n{text}")


@main.command()
@click.argument("landmarks", type=_file)
@click.option("--endpoint", required=True, metavar="URL", help="SPARQL endpoint, e.g. one of `hgld serve`.")
@click.option("-o", "--out", type=_file, required=True, help="Where to write the labels.")
@click.option("--user-agent", default="hgld", show_default=True, help="How to call yourself; public endpoints "
              "want a contact address.")  # fmt: skip
@click.option(
    "--cache", type=_folder, help="Keep the endpoint's answers here: a killed run does not ask again."
)
def assign(landmarks: Path, endpoint: str, out: Path, user_agent: str, cache: Path | None) -> None:
    """Label the landmarks of any CSV with the columns landmark_id,category.

    Writes GLDv2's five columns and the evidence: item, method, candidates, deciding class, path, note.
    """
    from hgld.pipeline.commands.assign import assign as label

    click.echo(label(landmarks, endpoint, out, user_agent=user_agent, cache=cache))


@main.command()
@click.argument("texts", type=_file)
@click.option("--column", required=True, metavar="NAME", help="The column with the names or URLs.")
@click.option(
    "--labelled", type=_file, metavar="LABELS.csv", help="Names with a hierarchical_label, to learn from."
)
@click.option("--facts", type=_folder, metavar="DIR", help="A snapshot of Wikidata: data/PROFILE, or the tables of "
              "`hgld serve` (default: none, the curated files alone).")  # fmt: skip
@click.option("-o", "--out", type=_file, required=True, help="Where to write the labels.")
def classify(texts: Path, column: str, labelled: Path | None, facts: Path | None, out: Path) -> None:
    """Label any list of class names ("parish church"), names of landmarks, or URLs of Commons categories.

    Writes the columns of TEXTS.csv, then hierarchical_label, score, margin, evidence (which kind decided) and because
    (what was matched); one row a row. LABELS.csv holds the names in a column NAME or category. Files may be gzipped.
    """
    from hgld.pipeline.commands.classify import classify as label

    click.echo(label(texts, column, out, labelled=labelled, facts=facts))


@main.command()
@click.argument("ours", metavar="A", type=_file)
@click.argument("theirs", metavar="B", type=_file)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--out", type=_folder, help="Write report.html, confusion.png and the figures as JSON here.")
@click.option("--score", metavar="COLUMN", help="A's column of scores (default: probability, else score).")
@click.option(
    "--by", metavar="COLUMN", help="A's column of evidence (default: source, else evidence, else method)."
)
def compare(
    ours: Path, theirs: Path, as_json: bool, out: Path | None, score: str | None, by: str | None
) -> None:
    """Report how far two label files agree, or what has changed from one release to another.

    A.csv and B.csv are joined by landmark_id. B is taken for the truth in precision and recall. Empty labels are
    counted apart. Where A has a column of scores, their calibration and the precision at every coverage are reported
    too; where it says who decided each label, the agreement of each.

    Two release folders, the old one first: landmarks added and removed, labels moved, per label and one by one.
    """
    import json

    from hgld.pipeline.commands.compare import compare_paths

    result = compare_paths(ours, theirs, score=score, evidence=by, out=out)
    click.echo(json.dumps(result.to_dict(), indent=2) if as_json else result.text())


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
        click.echo(endpoint)
        stop.wait()


@main.command()
@click.option(
    "--check", "only_check", is_flag=True, help="Change nothing; fail when a number is not the release's."
)
@_profile
def card(only_check: bool, profile: str | None) -> None:
    """Write the numbers of the release into DATA_CARD.md."""
    from hgld.foundation.settings import load_params
    from hgld.pipeline.commands.card import check_card, write_card

    path, params = Path("DATA_CARD.md"), load_params(profile=profile)
    if only_check:
        unchecked = check_card(params, path)
        click.echo("DATA_CARD.md states the release's numbers.")
        if unchecked:
            click.echo(
                f"Not checked, as this release was made from other proposals or another model: {', '.join(unchecked)}."
            )
    else:
        write_card(params, path)
        click.echo("DATA_CARD.md holds the release's numbers.")


@main.command()
@click.option("-o", "--out", type=_folder, help="Folder to write to (default: data/PROFILE/graph).")
@_profile
def graph(out: Path | None, profile: str | None) -> None:
    """Draw the hierarchy that `hgld build` made: graph.html, an interactive sunburst in one file.

    Beside it the class graph with labels and counts as graph.graphml, nodes.parquet and edges.parquet.
    """
    from hgld.foundation.settings import load_params
    from hgld.pipeline.commands.graph import draw

    params = load_params(profile=profile)
    click.echo(draw(params, out or params.data / "graph"))


@main.group()
def sample() -> None:
    """Make the sample world's inputs (stages of sources/sample/dvc.yaml)."""


@sample.command()
def draw() -> None:
    """Draw the sample's images and write them with their metadata in GLDv2's own formats."""
    from hgld.pipeline.sample.world import run

    run()


@sample.command()
def clip() -> None:
    """Train the sample's tiny CLIP on drawings of imaginary landmarks and their captions."""
    from hgld.pipeline.sample.tiny_clip import run

    run()


if __name__ == "__main__":
    main()
