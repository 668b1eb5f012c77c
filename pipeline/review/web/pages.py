"""What the pages of `hgld review` and `hgld browse` share: errors as JSON, static files, pictures."""

from importlib.resources import files
from typing import Annotated

from fastapi import FastAPI, HTTPException
from fastapi import Path as PathValue
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError
from hgld.foundation.tar_images import UnreadableImageError
from hgld.hierarchy.curation.verdict import VerdictError
from hgld.pipeline.review.catalogue import UnknownLandmarkError
from hgld.pipeline.review.desk import UndoError
from hgld.pipeline.review.landmark_pictures import SIZES, LandmarkPictures
from hgld.pipeline.review.quality_formats import STYLE
from hgld.pipeline.review.web.guard import Guard

_HERE = "hgld.pipeline.review.web"
_STATIC = {
    "review.js": (_HERE, "text/javascript"),
    "review.css": (_HERE, "text/css"),
    "browse.css": (_HERE, "text/css"),
    STYLE: ("hgld.pipeline.review", "text/css"),
}
_STATUSES: dict[type[HgldError], int] = {UnknownLandmarkError: 404, VerdictError: 409, UndoError: 409}
ImageId = Annotated[str, PathValue(pattern="^[0-9a-f]{16}$")]


def new_app(title: str, guard: Guard) -> FastAPI:
    """An application behind the guard, whose errors are one line of JSON."""
    app = FastAPI(title=title, docs_url=None, redoc_url=None)
    app.middleware("http")(guard)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HgldError, _refused)
    app.add_exception_handler(StarletteHTTPException, _http_error)
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
    """An unknown landmark (404) or a refused verdict (409); else it is the machine's, as a full disk is (503)."""
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 503)
    return JSONResponse({"error": visible(str(error))}, status_code=status)


def add_static(app: FastAPI) -> None:
    """The scripts and styles of the pages."""

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return Response(status_code=204)

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        if name not in _STATIC:
            raise HTTPException(404)
        package, media_type = _STATIC[name]
        return Response(files(package).joinpath(name).read_bytes(), media_type=media_type)


def add_pictures(app: FastAPI, pictures: LandmarkPictures) -> None:
    """The pictures of the landmarks that have been shown."""

    @app.get("/pictures/{image_id}/{size}", response_class=Response)
    def picture(image_id: ImageId, size: int) -> Response:
        """A picture as JPEG."""
        if size not in SIZES:
            raise HTTPException(404)
        try:
            data = pictures.jpeg(image_id, size)
        except UnreadableImageError:
            raise HTTPException(415) from None
        except KeyError:
            raise HTTPException(404) from None
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})
