"""The requests of the review page, and what each answers. All texts leave as JSON; the script never makes HTML of them.

The schema of the requests is at /openapi.json.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException
from fastapi import Path as PathValue
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError
from hgld.foundation.tar_images import UnreadableImageError
from hgld.hierarchy.curation.verdicts import Verdict, VerdictError
from hgld.pipeline.review.desk import Desk, UndoError
from hgld.pipeline.review.label_help import LabelHelp
from hgld.pipeline.review.landmark_evidence import LandmarkEvidence
from hgld.pipeline.review.landmark_pictures import LandmarkPictures
from hgld.pipeline.review.web.guard import Guard

_STATIC = {"review.js": "text/javascript", "review.css": "text/css"}
Position = Annotated[int, PathValue(ge=0, le=100_000_000)]
ImageId = Annotated[str, PathValue(pattern="^[0-9a-f]{16}$")]


class Answer(BaseModel):
    """A verdict as the page sends it. category: of the item that was shown; label: "" for none of the labels."""

    category: str = Field(max_length=2_000)
    label: str = Field(max_length=200)
    comment: str = Field("", max_length=2_000)


class Shown(BaseModel):
    """The category of the item that was shown."""

    category: str = Field(max_length=2_000)


@dataclass(frozen=True)
class Sources:
    """What the pages show: the annotator's items, and what is known about landmarks, pictures and labels."""

    desk: Desk
    evidence: LandmarkEvidence
    pictures: LandmarkPictures
    labels: LabelHelp


def make_app(sources: Sources, guard: Guard) -> FastAPI:
    """The application that serves the page and its requests."""
    app = FastAPI(title="hgld review", docs_url=None, redoc_url=None)
    app.middleware("http")(guard)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HgldError, _refused)
    app.add_exception_handler(StarletteHTTPException, _http_error)
    _add_page(app)
    _add_items(app, sources)
    _add_answers(app, sources)
    return app


def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong with a request, without what it contained."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    text = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
    return JSONResponse({"error": visible(text)[:500]}, status_code=422)


def _http_error(request: Request, error: Exception) -> JSONResponse:
    """The errors that are raised here, in the form of the others."""
    if not isinstance(error, StarletteHTTPException):
        raise error
    return JSONResponse({"error": visible(str(error.detail))}, status_code=error.status_code)


def _refused(request: Request, error: Exception) -> JSONResponse:
    """A refused verdict is the page's affair (409), anything else that of the machine, such as a full disk (503)."""
    status = 409 if isinstance(error, (VerdictError, UndoError)) else 503
    return JSONResponse({"error": visible(str(error))}, status_code=status)


def _add_page(app: FastAPI) -> None:
    here = files("hgld.pipeline.review.web")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> HTMLResponse:
        return HTMLResponse(here.joinpath("review.html").read_text(encoding="utf-8"))

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return Response(status_code=204)

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        if name not in _STATIC:
            raise HTTPException(404)
        return Response(here.joinpath(name).read_bytes(), media_type=_STATIC[name])


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

    @app.get("/api/items/{position}")
    def item(position: Position) -> dict[str, Any]:
        """An item with all that is known about it."""
        shown = _item_at(desk, position)
        landmarks = sources.evidence.landmarks(shown.category)
        verdict = desk.last_verdict(position)
        return {
            **_shown(sources.evidence.of(shown)),
            "category": shown.category,
            "position": position,
            "status": desk.status(position),
            "next": desk.next_open(position),
            "verdict": _said(verdict) if verdict else None,
            "pictures": sources.pictures.ids(landmarks),
        }

    @app.get("/pictures/{image_id}/{size}", response_class=Response)
    def picture(image_id: ImageId, size: int) -> Response:
        """A picture of an item that has been shown, as JPEG."""
        if size not in (320, 1280):
            raise HTTPException(404)
        try:
            data = sources.pictures.jpeg(image_id, size)
        except UnreadableImageError:
            raise HTTPException(415) from None
        except KeyError:
            raise HTTPException(404) from None
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


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
        what = answer.label.strip() or "no label"
        return answered(f"{what}: saved", position, lambda: desk.judge(position, answer.label, answer.comment))

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
    return {"label": verdict.hierarchical_label, "comment": verdict.comment, "decided_on": verdict.decided_on}
