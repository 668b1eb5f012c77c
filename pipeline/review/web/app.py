"""The requests of the review page, and what each answers. All texts leave as JSON; the script never makes HTML of them.

The schema of the requests is at /openapi.json.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query
from fastapi import Path as PathValue
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse

from hgld.foundation.display.visible import visible
from hgld.foundation.display.world_outline import VIEW_BOX, world_path
from hgld.foundation.errors import HgldError
from hgld.hierarchy.curation.verdict import CLASS, UNSURE, Verdict, VerdictError
from hgld.pipeline.review.class_evidence import SHOWN_LANDMARKS, ClassEvidence
from hgld.pipeline.review.desk import Desk
from hgld.pipeline.review.label_help import LabelHelp
from hgld.pipeline.review.landmark_evidence import LandmarkEvidence
from hgld.pipeline.review.landmark_pictures import LandmarkPictures
from hgld.pipeline.review.quality import Quality
from hgld.pipeline.review.quality_formats import as_served_html
from hgld.pipeline.review.web.adjudication import Adjudication, add_adjudication
from hgld.pipeline.review.web.guard import Guard
from hgld.pipeline.review.web.pages import add_pictures, add_static, new_app

Position = Annotated[int, PathValue(ge=0, le=100_000_000)]


class Answer(BaseModel):
    """A verdict as the page sends it.

    category: of the item that was shown; label: "" for none of the labels; supercategory, rejected_item: as in Verdict;
    unsure: the annotator cannot tell, so there is no label.
    """

    category: str = Field(max_length=2_000)
    label: str = Field(max_length=200)
    comment: str = Field("", max_length=2_000)
    supercategory: str = Field("", max_length=30)
    rejected_item: str = Field("", max_length=30)
    unsure: bool = False


class Shown(BaseModel):
    """The category of the item that was shown."""

    category: str = Field(max_length=2_000)


@dataclass(frozen=True)
class Sources:
    """What the pages show: the annotator's items, and what is known about landmarks, pictures, labels and verdicts."""

    desk: Desk
    evidence: LandmarkEvidence
    classes: ClassEvidence
    pictures: LandmarkPictures
    labels: LabelHelp
    quality: Callable[[], Quality]
    adjudication: Adjudication

    def read(self) -> None:
        """Read the tables now, not at the first question; what is wrong with them is said in answer to that."""
        with suppress(HgldError):
            self.labels.all()
            self.evidence.items("")
            self.pictures.credits([])
            self.adjudication.tables.of_now()
            if any(item.kind == CLASS for item in self.desk.items):
                self.classes.members("")


def make_app(sources: Sources, guard: Guard) -> FastAPI:
    """The application that serves the page and its requests."""
    app = new_app("hgld review", guard)
    add_static(app)
    add_pictures(app, sources.pictures)
    _add_page(app, sources)
    _add_items(app, sources)
    _add_answers(app, sources)
    add_adjudication(app, sources.adjudication)
    return app


def _add_page(app: FastAPI, sources: Sources) -> None:
    here = files("hgld.pipeline.review.web")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> HTMLResponse:
        return HTMLResponse(here.joinpath("review.html").read_text(encoding="utf-8"))

    @app.get("/quality", response_class=HTMLResponse, include_in_schema=False)
    def quality() -> HTMLResponse:
        return HTMLResponse(as_served_html(sources.quality()))


def _add_items(app: FastAPI, sources: Sources) -> None:
    desk = sources.desk

    @app.get("/api/session")
    def session() -> dict[str, Any]:
        """Who reviews what, and where to begin."""
        first = 0 if desk.items and desk.status(0) == "open" else desk.next_open(0) if desk.items else None
        about = {"annotator": desk.annotator, "profile": desk.profile, "file": str(desk.file)}
        return {**about, "first": first, "progress": desk.progress(), "can_undo": desk.can_undo}

    @app.get("/api/labels")
    def labels() -> list[dict[str, Any]]:
        """Every label with its definition, other words for it, its classes and examples."""
        return sources.labels.all()

    @app.get("/api/classes")
    def classes(text: Annotated[str, Query(max_length=200)] = "") -> list[dict[str, str]]:
        """The classes whose name begins with a text or has a word that does."""
        found: list[dict[str, str]] = _shown(sources.classes.find(text))
        return found

    @app.get("/api/outline")
    def outline() -> dict[str, str]:
        """The land of the world map, as the data of an SVG path, and its view box."""
        return {"path": world_path(), "view_box": VIEW_BOX}

    @app.get("/api/items/{position}")
    def item(position: Position) -> dict[str, Any]:
        """An item with all that is known about it."""
        shown = _item_at(desk, position)
        about_class = sources.classes.of(shown.category) if shown.kind == CLASS else None
        members = sources.classes.members(shown.category)[:SHOWN_LANDMARKS] if about_class else [shown.category]
        landmarks = [landmark for member in members for landmark in sources.evidence.landmarks(member)]
        verdict = desk.last_verdict(position)
        pictures = sources.pictures.ids(landmarks)
        return {
            **_shown(sources.evidence.of(shown)),
            "class": _shown(about_class),
            "kind": shown.kind,
            "category": shown.category,
            "position": position,
            "status": desk.status(position),
            "next": desk.next_open(position),
            "verdict": _said(verdict) if verdict else None,
            "opinions": _shown(sources.adjudication.opinions(position)),
            "pictures": pictures,
            "credits": _shown(sources.pictures.credits(pictures)),
        }


def _add_answers(app: FastAPI, sources: Sources) -> None:
    desk = sources.desk

    def answered(message: str, position: int, act: Callable[[], object]) -> dict[str, Any]:
        act()
        return {
            "message": message,
            "next": desk.next_open(position),
            "progress": desk.progress(),
            "can_undo": desk.can_undo,
        }

    @app.post("/api/items/{position}/verdict")
    def judge(position: Position, answer: Answer) -> dict[str, Any]:
        """Save a verdict; it is on disk when this answers."""
        _item_at(desk, position, answer.category)
        if answer.supercategory and not sources.classes.is_known(answer.supercategory):
            raise VerdictError(f"there is no class {answer.supercategory!r} in the snapshot of Wikidata")
        what = "unsure" if answer.unsure else answer.label.strip() or "no label"
        more = (answer.comment, answer.supercategory, answer.rejected_item, UNSURE if answer.unsure else "")
        return answered(f"{what}: saved", position, lambda: desk.judge(position, answer.label, *more))

    @app.post("/api/items/{position}/skip")
    def skip(position: Position, shown: Shown) -> dict[str, Any]:
        """Leave an item for later; nothing is saved."""
        _item_at(desk, position, shown.category)
        return answered("skipped", position, lambda: desk.skip(position))

    @app.post("/api/undo")
    def undo() -> dict[str, Any]:
        """Take back the last verdict or skip."""
        undone = desk.undo()
        if undone is None:
            raise HTTPException(409, "there is nothing to undo")
        what = "the skip" if undone.step.verdict is None else "the verdict"
        message = f"taken back: {what} on {undone.step.category}"
        return {
            "message": message,
            "position": undone.position,
            "progress": desk.progress(),
            "can_undo": desk.can_undo,
        }


def _item_at(desk: Desk, position: int, category: str | None = None) -> Any:
    """The item at a position. Raises HTTPException where there is none, or another one than the page showed."""
    if position >= len(desk.items):
        raise HTTPException(404, f"there are {len(desk.items)} items")
    item = desk.items[position]
    if category is not None and category != item.category:
        raise HTTPException(409, "this page shows another session; load it again")
    return item


def _shown(value: Any) -> Any:
    """JSON values with every control and bidirectional character of a text visible."""
    if isinstance(value, dict):
        return {key: _shown(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return visible(value) if isinstance(value, str) else value


def _said(verdict: Verdict) -> dict[str, str]:
    return {
        "label": verdict.hierarchical_label,
        "comment": verdict.comment,
        "supercategory": verdict.supercategory,
        "rejected_item": verdict.rejected_item,
        "answer": verdict.answer,
        "decided_on": verdict.decided_on,
    }
