"""The options of `hgld review`, `verify`, `export`, `cite`, `report` and `publish` on the command line."""

from pathlib import Path

import click

# Whether a path exists and is a file is checked by the code that opens it, for a specific message and exit code 1.
_FILE = click.Path(path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)

REVIEW_OPTIONS = [
    click.argument("landmarks", nargs=-1),
    click.option("--annotator", metavar="NAME", help="The annotator (default: your git user name)."),
    click.option("--text", is_flag=True, help="Ask in the terminal instead of the browser, such as over ssh."),
    click.option("--focus", default="", metavar="LABEL", help="Only where LABEL is suggested or the runner-up."),
    click.option("--kind", type=click.Choice(["landmark", "class"]), help="Only landmarks, or only classes, where one "
                 "verdict is for all their landmarks."),
    click.option("--only-conflicts", is_flag=True, help="Only where annotators disagree."),
    click.option("--limit", type=click.IntRange(min=1), help="Stop after this many items."),
    click.option("--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1 (default: a free one)."),
    click.option("--browser/--no-browser", default=True, help="Open the page, or only print its address."),
    click.option("--report", is_flag=True, help="Report how good the verdicts are, instead of asking for more."),
    click.option("--format", "form", type=click.Choice(["table", "json", "html"]), default="table",
                 show_default=True, help="Of the report."),
    click.option("--out", type=_FILE, metavar="FILE", help="Write the report to FILE instead of printing it."),
]  # fmt: skip
VERIFY_OPTIONS = [
    click.argument("release", type=_FILE),
    click.option("--data", type=_FOLDER, metavar="DIR", help="Also compare with GLDv2's metadata in DIR, such as "
                 "data/gldv2: every image and landmark of it, and no other."),
]  # fmt: skip
EXPORT_OPTIONS = [
    click.argument("release", required=False, type=_FOLDER),
    click.option("--format", "form", type=click.Choice(["csv", "jsonl", "parquet", "sqlite", "webdataset"]),
                 required=True, help="Of the output."),
    click.option("--out", type=_FILE, required=True, help="The file to write; a folder for several tables as csv, "
                 "jsonl or parquet, and for webdataset."),
    click.option("--table", metavar="NAME", help="Only this table: labels, evidence, train_landmarks, index_landmarks, "
                 "train, index or test (default: all)."),
    click.option("--images", type=_FOLDER, metavar="DIR", help="For webdataset: the folder of images.parquet and the "
                 "image tars (default: data/PROFILE/images)."),
    click.option("--shard-mb", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, metavar="N",
                 help="For webdataset: at most so many megabytes a shard."),
    click.option("--force", is_flag=True, help="Replace an output that exists."),
]  # fmt: skip
OVERLAP_OPTIONS = [
    click.argument("release", required=False, type=click.Path(file_okay=False, path_type=Path)),
    click.option("--images", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
                 help="Folder of the image tars and their index (default: data/PROFILE/images)."),
    click.option("--distance", type=click.IntRange(0, 3), default=3, show_default=True,
                 help="In how many of 64 bits the hashes of a pair may differ."),
    click.option("--out", type=_FILE, metavar="FILE",
                 help="CSV of the pairs (default: data/PROFILE/overlap/pairs.csv)."),
]  # fmt: skip
CITE_OPTIONS = [
    click.argument("images", metavar="IMAGE_ID…", nargs=-1),
    click.option("--format", "form", type=click.Choice(["text", "csv", "html"]), default="text", show_default=True,
                 help="Of the credits."),
    click.option("--out", type=_FILE, metavar="FILE", help="Write the credits to FILE instead of printing them."),
    click.option("--all", "everything", is_flag=True, help="All train images; needs --out."),
]  # fmt: skip
REPORT_OPTIONS = [
    click.argument("landmark"),
    click.argument("what", metavar="WHAT_IS_WRONG"),
    click.option("--evidence", default="", metavar="URL", help="A page that shows it."),
    click.option("--by", default="", metavar="NAME", help="Who says so (default: nobody is named)."),
]  # fmt: skip
PUBLISH_OPTIONS = [
    click.argument("release", required=False, type=_FILE),
    click.option("--to", "target", required=True, metavar="TARGET", help="hf:OWNER/NAME, zenodo, zenodo:sandbox or "
                 "folder:PATH."),
    click.option("--yes", is_flag=True, help="Send it; otherwise it is only shown what would be sent."),
    click.option("--concept", default="", metavar="ID", help="For zenodo: make a new version of the data set with this "
                 "ID, the number in the DOI of all its versions."),
]  # fmt: skip
