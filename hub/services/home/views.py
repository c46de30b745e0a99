"""The first page's parts; its words are in `words`."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from hub.services.home import lake_views
from hub.services.home.lake_news import Told
from hub.services.home.news import KINDS, Announcement
from hub.services.home.words import TEXT
from hub.services.pages import Language, percent

ObjectLocation = Callable[[str], str]


@dataclass(frozen=True)
class State:
    """What the page shows of a person."""

    name: str = ""
    profile: str | None = None
    """Of the server that runs; None: none runs."""
    since: str = ""
    stops: list[dict[str, Any]] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)
    core_hours: float = 0.0
    operator: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)
    """Of operators to this person."""
    budgets: list[dict[str, Any]] = field(default_factory=list)
    """Budgets of which much is used."""
    common: dict[str, str] = field(default_factory=dict)
    """The common servers of the person's groups, by group."""


def title(tongue: Language, state: State) -> str:
    """The page's heading."""
    text = TEXT[tongue]
    return text["hello"].format(name=state.name) if state.name else text["welcome"]


def body(
    tongue: Language,
    state: State,
    news: list[Announcement],
    place: ObjectLocation,
    clusters: str,
    told: Sequence[Told] = (),
) -> str:
    """The page's content; ``place`` makes links of the lab's own paths; ``told`` are news of the datalake."""
    text = TEXT[tongue]
    if not state.name:
        return (
            f'<p>{text["intro"]}</p><p><a class="button" href="login">{text["login"]}</a></p>'
            f'<div class="cards">{_news(tongue, news, False)}{lake_views.card(tongue, told)}</div>'
        )
    lab = place("hub/user-redirect")
    cards = [
        _server(tongue, state, place),
        _card(text["catalogue"], f"<p>{text['find']}</p>", place("services/catalogue/"), text["toit"]),
        _card(text["notebooks"], f"<p>{text['examples']}</p>", f"{lab}/lab/tree/notebooks", text["tothem"]),
        _card(text["clusters"], f"<p>{text['dask']}</p>", clusters or f"{lab}/lab", text["toclusters"]),
        _card(text["usage"], _usage(tongue, state, place), place("services/usage/"), text["more"]),
        *_common(tongue, state, place),
        _news(tongue, news, state.operator),
        lake_views.card(tongue, told),
    ]
    notes = _messages(tongue, state) + _budgets(tongue, state)
    return f'{notes}<p class="soft">{text["intro"]}</p><div class="cards">{"".join(cards)}</div>'


def _messages(tongue: Language, state: State) -> str:
    by = TEXT[tongue]["by"]
    return "".join(
        f'<section class="note message" role="status"><p class="soft">'
        f"{html.escape(by.format(name=m['by'], when=_when(m['sent'], tongue)))}</p>"
        f"<p>{html.escape(m['text'])}</p></section>"
        for m in state.messages
    )


def _budgets(tongue: Language, state: State) -> str:
    text, lines = TEXT[tongue], []
    for b in state.budgets:
        whose = text[f"budget{b['kind']}"].format(name=b["name"])
        words = text["over" if b["over"] else "near"]
        line = words.format(whose=whose, part=percent(b["part"], tongue), budget=b["budget"], currency=b["currency"])
        lines.append(f'<p class="note{" over" if b["over"] else ""}" role="status">{html.escape(line)}</p>')
    return "".join(lines)


def _card(head: str, inner: str, link: str, words: str) -> str:
    button = f'<a class="button plain" href="{link}">{words}</a>'
    return f'<section class="card"><h2>{head}</h2>{inner}<p>{button}</p></section>'


def _server(tongue: Language, state: State, place: ObjectLocation) -> str:
    text = TEXT[tongue]
    if state.profile is None:
        sentence = text["rests"]
        if state.stops:
            last = state.stops[0]
            words = text[{"idle": "stopped", "order": "ordered"}.get(last["why"], "old")]
            sentence += " " + words.format(when=_when(last["when"], tongue), minutes=round(last["after"] / 60))
            if last["running"]:
                sentence += " " + text["ran"].format(what=", ".join(last["running"]))
            if last.get("text"):
                sentence += " " + text["reason"].format(text=last["text"])
        buttons = f'<a class="button" href="{place("hub/spawn")}">{text["start"]}</a>'
    else:
        sentence = text["runs"].format(profile=state.profile or "–", when=_when(state.since, tongue))
        buttons = (
            f'<a class="button" href="{place("hub/user-redirect/lab")}">{text["open"]}</a> '
            f'<a class="button plain" href="{place("hub/home")}">{text["stop"]}</a>'
        )
    return f'<section class="card"><h2>{text["server"]}</h2><p>{html.escape(sentence)}</p><p>{buttons}</p></section>'


def _common(tongue: Language, state: State, place: ObjectLocation) -> Iterator[str]:
    text = TEXT[tongue]
    links = ""
    for group, server in state.common.items():
        # A workspace of one's own: the tabs of others are not changed by mine.
        link = place(f"hub/user/{server}/lab/workspaces/{quote(state.name)}")
        words = html.escape(text["tocommon"].format(name=group))
        links += f'<p><a class="button plain" href="{link}">{words}</a></p>'
    if links:
        yield f'<section class="card"><h2>{text["together"]}</h2><p>{text["common"]}</p>{links}</section>'


def _usage(tongue: Language, state: State, place: ObjectLocation) -> str:
    text = TEXT[tongue]
    if not state.parts:
        return f"<p>{text['nolimit'].format(hours=f'{state.core_hours:.1f}')}</p>"
    meters = "".join(
        f'<p><span id="u-{kind}">{text[kind]}: {part:.0%} {text["of"] if kind != "storage" else ""}</span>'
        f'<meter min="0" max="1" high="0.8" value="{min(part, 1):.3f}" aria-labelledby="u-{kind}"></meter></p>'
        for kind, part in state.parts.items()
    )
    if state.parts.get("storage", 0) >= 0.8:
        link = place("hub/user-redirect/geodes/space")
        meters += f'<p class="note">{text["full"]} <a href="{link}">{text["space"]}</a></p>'
    return meters


def _news(tongue: Language, news: list[Announcement], operator: bool) -> str:
    text = TEXT[tongue]
    shown = []
    for a in news:
        head, words = a.in_(tongue)
        until = f" · {text['until']} {_when(a.until, tongue)}" if a.until else ""
        away = (
            f'<form method="post" action="news/{a.id}/remove"><button class="button plain">{text["remove"]}'
            f'<span class="soft"> {html.escape(head)}</span></button></form>'
            if operator
            else ""
        )
        shown.append(
            f'<article id="{a.id}"><h3>{html.escape(head)}</h3><p class="soft">{text[a.kind]} · '
            f"{_when(a.published, tongue)}{until}</p>"
            f"<p>{html.escape(words)}</p>{away}</article>"
        )
    inner = "".join(shown) or f"<p>{text['none']}</p>"
    form = _form(text) if operator else ""
    feed = f'<a href="feed.atom">{text["feed"]}</a>'
    return f'<section class="card wide news"><h2>{text["news"]}</h2>{inner}<p>{feed}</p>{form}</section>'


def _form(text: dict[str, str]) -> str:
    kinds = "".join(f'<option value="{k}">{text[k]}</option>' for k in KINDS)
    entries = "".join(
        f'<label for="{name}">{text[name]}</label>'
        + (
            f'<input id="{name}" name="{name}"{" required" if name == "title" else ""}>'
            if "it" in name
            else f'<textarea id="{name}" name="{name}"></textarea>'
        )
        for name in ("title", "text", "titre", "texte")
    )
    return (
        f'<details><summary>{text["publish"]}</summary><form method="post" action="news"><label '
        f'for="kind">{text["kind"]}</label>'
        f'<select id="kind" name="kind">{kinds}</select>{entries}<label for="until">{text["until"]}</label>'
        f'<input id="until" name="until" type="datetime-local"><p><button '
        f'class="button">{text["send"]}</button></p></form></details>'
    )


def _when(text: str, tongue: Language) -> str:
    if not text:
        return ""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.strftime("%d/%m/%Y %H:%M UTC" if tongue == "fr" else "%Y-%m-%d %H:%M UTC")
