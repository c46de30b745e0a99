"""The common look of the small services' pages: plain HTML, no script, French and English."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from geodes_lab.policy.lab import Lab

Language = Literal["en", "fr"]
COOKIE = "geodes-lang"
"""The cookie with the language that a person has chosen."""
# The Earth, the orbit of a satellite, and the satellite; the same as in JupyterLab (labextensions/geodes-lab-face).
MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">'
    '<circle cx="16" cy="16" r="9" fill="#2f8be0"/>'
    '<path d="M9 12c3-2 5 1 7-1s4-2 6 0 1 4-2 4-3 4-6 3-2-3-4-3-2-2-1-3z" fill="#7bbf6a"/>'
    '<ellipse cx="16" cy="16" rx="14.5" ry="5.2" fill="none" stroke="#f0a020" stroke-width="1.8" '
    'transform="rotate(-32 16 16)"/>'
    '<rect x="25" y="4.5" width="4.6" height="4.6" rx="1" fill="#fff" transform="rotate(-32 27 7)"/></svg>'
)
NAMES: dict[Language, dict[str, str]] = {
    "en": {
        "home": "Home",
        "catalogue": "Catalogue",
        "jobs": "Processing",
        "usage": "My usage",
        "server": "My server",
        "operators": "Operators",
        "skip": "To the content",
        "other": "Français",
    },
    "fr": {
        "home": "Accueil",
        "catalogue": "Catalogue",
        "jobs": "Traitements",
        "usage": "Mon usage",
        "server": "Mon serveur",
        "operators": "Exploitation",
        "skip": "Au contenu",
        "other": "English",
    },
}


def language(request: Request, lab: Lab) -> Language:
    """Return French or English: the address, the earlier choice, the browser, or the operator decides."""
    wishes = [request.query_params.get("lang", ""), request.cookies.get(COOKIE, "")]
    return chosen([*wishes, *request.headers.get("accept-language", "").split(",")], lab)


def chosen(wishes: list[str], lab: Lab) -> Language:
    """Return the first wish that is French or English, else the language of the operator's file."""
    for wish in wishes:
        start = wish.strip()[:2].lower()
        if start in ("en", "fr"):
            return "fr" if start == "fr" else "en"
    return lab.language


def links(lab: Lab, operator: bool, known: bool = True) -> list[tuple[str, str, str]]:
    """Return the menu: key of the name, path of the page, address of the link.

    Parameters
    ----------
    lab
        The operator's file.
    operator
        Whether an operator reads the page.
    known
        Whether somebody has logged in: the first page has a session of its own, and gets it on the way.
    """
    paths = {
        "home": "services/home/",
        "catalogue": "services/catalogue/",
        "jobs": "services/jobs/",
        "usage": "services/usage/",
        "server": "hub/home",
    }
    if operator:
        paths["operators"] = "services/operators/"
    entry = {"home": "services/home/login"} if known else {}
    return [(key, path, place(lab, entry.get(key, path))) for key, path in paths.items()]


def place(lab: Lab, path: str) -> str:
    """Return the address of a page of the lab, for a link.

    ``services/NAME/…``, or a path of the hub's own such as ``hub/home``.
    """
    service = path.split("/")[1] if path.startswith("services/") else ""
    return f"{lab.origin(service)}{os.environ.get('JUPYTERHUB_BASE_URL', '/')}{path}"


def page(
    request: Request, lab: Lab, title: str, body: str, person: str = "", status: int = 200, *, operator: bool = False,
    head: str = "", asks: str = "",
) -> Response:  # fmt: skip
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
    operator
        Whether an operator reads it: the menu leads to the operators' page.
    head
        More of the page's head, as HTML: scripts and style sheets of the service's own.
    asks
        The origin of another service of the lab that the page may ask, and whose pictures it shows; empty: of none.
    """
    tongue = language(request, lab)
    names = NAMES[tongue]
    base = os.environ.get("JUPYTERHUB_BASE_URL", "/")
    menu = "".join(
        f'<li><a href="{html.escape(address)}"'
        f"{' aria-current=page' if request.url.path == base + path else ''}>{names[key]}</a></li>"
        for key, path, address in links(lab, operator, bool(person))
    )
    home = html.escape(place(lab, "services/home/"))
    brand = html.escape(place(lab, "services/home/login" if person else "services/home/"))
    other = "en" if tongue == "fr" else "fr"
    answer = HTMLResponse(
        f'<!doctype html><html lang="{tongue}"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><title>{html.escape(title)} · '
        f'{html.escape(lab.name)}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="look.css"><link '
        f'rel="alternate" type="application/atom+xml" title="{html.escape(lab.name)}" '
        f'href="{home}feed.atom">{head}</head><body><a class="skip" href="#content">{names["skip"]}</a><header><a '
        f'class="brand" href="{brand}">{MARK}{html.escape(lab.name)}</a><nav '
        f'aria-label="{html.escape(lab.name)}"><ul>{menu}</ul></nav><span '
        f'class="person">{html.escape(person)}</span><a href="?lang={other}" lang="{other}" '
        f'hreflang="{other}">{names["other"]}</a></header><main '
        f'id="content"><h1>{html.escape(title)}</h1>{body}</main></body></html>',
        status,
        headers={
            "Content-Security-Policy": _policy(asks),
            "Cache-Control": "no-store",
            "Referrer-Policy": "same-origin",
        },
    )
    if request.query_params.get("lang") in ("en", "fr"):
        shared = urlsplit(lab.address).hostname if lab.apart else None  # one choice for all of the lab's host names
        answer.set_cookie(COOKIE, request.query_params["lang"], 365 * 86400, path=base, samesite="lax", domain=shared)
    return answer


def _policy(asks: str) -> str:
    further = f" {asks}; connect-src 'self' {asks}" if asks else ""
    within = "frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
    return f"default-src 'self'; img-src 'self' data:{further}; {within}"


def filled(file: Path, words: Mapping[str, str]) -> str:
    """Return the content of a page from a file of HTML: each ``{{name}}`` becomes a text."""
    text = file.read_text()
    for name, word in words.items():
        text = text.replace("{{" + name + "}}", html.escape(word))
    return text


def style(name: str) -> str:
    """Return a style sheet: ``face.css`` has the head of all pages, the hub's own too; ``look.css`` the rest."""
    return Path(__file__).with_name(name).read_text()


async def look(_: Request) -> Response:
    """Return both style sheets."""
    return Response(style("face.css") + style("look.css"), media_type="text/css")


def percent(part: float | Decimal, tongue: Language) -> str:
    """Return a part as people write it; 1 is all of it."""
    space = "\u202f" if tongue == "fr" else ""
    return f"{math.floor(part * 100)}{space}%"  # 99.9 % is not all of it


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
