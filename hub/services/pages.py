"""The common look of the small services' pages: plain HTML, no script, French and English."""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from geodes_lab.policy.lab import Lab

Language = Literal["en", "fr"]
_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
_NAMES = {
    "en": {
        "home": "Home",
        "catalogue": "Catalogue",
        "usage": "My usage",
        "server": "My server",
        "skip": "To the content",
        "other": "Français",
    },
    "fr": {
        "home": "Accueil",
        "catalogue": "Catalogue",
        "usage": "Mon usage",
        "server": "Mon serveur",
        "skip": "Au contenu",
        "other": "English",
    },
}


def language(request: Request, lab: Lab) -> Language:
    """Return French or English: the address, the earlier choice, the browser, or the operator decides."""
    wishes = [request.query_params.get("lang", ""), request.cookies.get("geodes-lang", "")]
    wishes += [part.strip() for part in request.headers.get("accept-language", "").split(",")]
    for wish in wishes:
        if wish[:2].lower() in ("en", "fr"):
            return "fr" if wish[:2].lower() == "fr" else "en"
    return lab.language


def place(lab: Lab, path: str) -> str:
    """Return the address of a page of the lab, for a link.

    ``services/NAME/…``, or a path of the hub's own such as ``hub/home``.
    """
    service = path.split("/")[1] if path.startswith("services/") else ""
    return f"{lab.origin(service)}{os.environ.get('JUPYTERHUB_BASE_URL', '/')}{path}"


def page(request: Request, lab: Lab, title: str, body: str, person: str = "", status: int = 200) -> Response:
    """Return a complete page.

    Parameters
    ----------
    request
        The request.
    lab
        The operator's file.
    title, body
        The title as text, the body as HTML.
    person
        Who is logged in.
    status
        Of the answer.
    """
    tongue = language(request, lab)
    names = _NAMES[tongue]
    base = os.environ.get("JUPYTERHUB_BASE_URL", "/")
    links = [
        ("services/home/", "home"),
        ("services/catalogue/", "catalogue"),
        ("services/usage/", "usage"),
        ("hub/home", "server"),
    ]
    menu = "".join(
        f'<li><a href="{html.escape(place(lab, path))}"'
        f"{' aria-current=page' if request.url.path == base + path else ''}>{names[key]}</a></li>"
        for path, key in links
    )
    home = html.escape(place(lab, "services/home/"))
    other = "en" if tongue == "fr" else "fr"
    answer = HTMLResponse(
        f'<!doctype html><html lang="{tongue}"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><title>{html.escape(title)} · '
        f'{html.escape(lab.name)}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="look.css"><link '
        f'rel="alternate" type="application/atom+xml" title="{html.escape(lab.name)}" '
        f'href="{home}feed.atom"></head><body><a class="skip" href="#content">{names["skip"]}</a><header><a '
        f'class="brand" href="{home}">{html.escape(lab.name)}</a><nav '
        f'aria-label="{html.escape(lab.name)}"><ul>{menu}</ul></nav><span '
        f'class="person">{html.escape(person)}</span><a href="?lang={other}" lang="{other}" '
        f'hreflang="{other}">{names["other"]}</a></header><main '
        f'id="content"><h1>{html.escape(title)}</h1>{body}</main></body></html>',
        status,
        headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-store", "Referrer-Policy": "same-origin"},
    )
    if request.query_params.get("lang") in ("en", "fr"):
        shared = urlsplit(lab.address).hostname if lab.apart else None  # one choice for all of the lab's host names
        answer.set_cookie(
            "geodes-lang", request.query_params["lang"], 365 * 86400, path=base, samesite="lax", domain=shared
        )
    return answer


async def look(_: Request) -> Response:
    """The style sheet."""
    return FileResponse(Path(__file__).with_name("look.css"), media_type="text/css")


def table(caption: str, heads: list[str], rows: list[list[str]]) -> str:
    """Return a table of text cells; all columns but the first are numbers."""
    top = "".join(f'<th scope="col">{html.escape(h)}</th>' for h in heads)
    lines = "".join(
        "<tr>"
        + f'<th scope="row">{html.escape(row[0])}</th>'
        + "".join(f"<td>{html.escape(c)}</td>" for c in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f"<table><caption>{html.escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"
    )
