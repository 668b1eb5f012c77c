"""`hgld browse`: the release in the browser, read-only: the hierarchy, its landmarks with pictures and evidence."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query
from starlette.responses import HTMLResponse

from hgld.foundation.display.html_page import render_page
from hgld.foundation.display.visible import echo
from hgld.foundation.display.world_outline import VIEW_BOX, world_path
from hgld.foundation.settings import Params
from hgld.hierarchy.taxonomy.commons_category import category_url
from hgld.pipeline.review.catalogue import Catalogue
from hgld.pipeline.review.label_help import LabelHelp
from hgld.pipeline.review.landmark_evidence import LandmarkEvidence
from hgld.pipeline.review.landmark_pictures import LandmarkPictures
from hgld.pipeline.review.web.guard import Guard
from hgld.pipeline.review.web.pages import add_pictures, add_static, new_app
from hgld.pipeline.review.web.server import listen, run

Text = Annotated[str, Query(max_length=500)]
Page = Annotated[int, Query(ge=1, le=10_000_000)]


def browse(
    params: Params, *, port: int | None = None, browser: bool = True, ready: Callable[[str], None] = echo
) -> None:
    """Serve the release until Ctrl-C.

    port: on 127.0.0.1, by default a free one. browser: open the page. ready: is called with the address.

    Raises HgldError where the release is missing or damaged, and for a port in use.
    """
    labels = LabelHelp(params)
    catalogue = Catalogue(params)
    pictures = LandmarkPictures(params)
    listener = listen(port)
    token = secrets.token_urlsafe(24)
    app = make_browse_app(
        catalogue,
        LandmarkEvidence(params, labels.natures),
        pictures,
        labels,
        Guard(listener.getsockname()[1], token),
        str(params.data / "release"),
    )
    try:
        run(app, listener, token, browser=browser, ready=ready)
    finally:
        pictures.close()


def make_browse_app(
    catalogue: Catalogue,
    evidence: LandmarkEvidence,
    pictures: LandmarkPictures,
    labels: LabelHelp,
    guard: Guard,
    where: str,
) -> FastAPI:
    """The application; where: the folder of the release, for the heading."""
    app = new_app("hgld browse", guard)
    add_static(app)
    add_pictures(app, pictures)
    definitions = {entry["label"].strip(): entry for entry in labels.all()}

    def page(title: str, **values: Any) -> HTMLResponse:
        empty: dict[str, Any] = {"natures": None, "listing": None, "landmark": None, "query": ""}
        about = {"title": title, "where": Path(where).as_posix(), "total": len(catalogue)}
        return HTMLResponse(render_page("hgld.pipeline.review.web", "browse.html", **{**empty, **about, **values}))

    @app.get("/", response_class=HTMLResponse)
    def hierarchy() -> HTMLResponse:
        """The labels, natural and human-made."""
        return page("The hierarchy", natures=catalogue.natures(), definitions=definitions)

    @app.get("/landmarks", response_class=HTMLResponse)
    def landmarks(label: Text = "", supercategory: Text = "", q: Text = "", page_number: Page = 1) -> HTMLResponse:
        """The landmarks of a label and a class, or what is found."""
        listing = catalogue.listing(label, supercategory, q.strip(), page_number)
        return page(
            supercategory or label or q or "All landmarks",
            query=q,
            label=label,
            supercategory=supercategory,
            classes=catalogue.classes(label) if label else [],
            listing=listing,
            definition=definitions.get(label),
        )

    @app.get("/landmark", response_class=HTMLResponse)
    def landmark(category: Text) -> HTMLResponse:
        """One landmark with its pictures and the evidence for its label."""
        found, place = catalogue.landmark(category), evidence.place(category)
        return page(
            category,
            landmark=found,
            pictures=pictures.ids(evidence.landmarks(category)),
            items=evidence.items(category),
            commons=category_url(category),
            place=place,
            where_is=_coordinates(place["latitude"], place["longitude"]) if place else "",
            outline=world_path(),
            view_box=VIEW_BOX,
        )

    return app


def _coordinates(latitude: float, longitude: float) -> str:
    """Coordinates for reading.

    >>> _coordinates(-33.857, 151.215)
    '33.86° S, 151.22° E'
    """
    return f"{abs(latitude):.2f}° {'NS'[latitude < 0]}, {abs(longitude):.2f}° {'EW'[longitude < 0]}"
