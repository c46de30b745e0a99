"""The parts of the operators' page; all that people chose themselves is escaped."""

from __future__ import annotations

from datetime import datetime
from html import escape

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.units import Bytes
from hub.services.hubapi import time
from hub.services.operators import forms
from hub.services.operators.state import Running, State
from hub.services.operators.words import TEXT
from hub.services.pages import Language, percent, place

_MOST = 200  # people in the list


def body(tongue: Language, state: State, lab: Lab, wanted: str, to: str, done: str) -> str:
    """Return the page's content.

    Parameters
    ----------
    tongue, state, lab
        The language, the lab at this moment, and the operator's file.
    wanted
        What the names or groups of the shown people contain.
    to
        To whom the message form writes at first.
    done
        What was done just before, as the address says.
    """
    text = TEXT[tongue]
    told = [text[f"silent_{name}"] for name in state.silent]
    notes = "".join(f'<p class="note" role="alert">{sentence}</p>' for sentence in told)
    if f"done_{done}" in text:
        notes = f'<p class="done" role="status">{text[f"done_{done}"]}</p>{notes}'
    names = [m.name for m in state.members]
    return "".join(
        [
            notes,
            _budgets(text, tongue, state, lab),
            _tiles(text, state, lab),
            _section("servers", text, _servers(text, tongue, state, lab)),
            _section("clusters", text, _clusters(text, state)),
            _section("messages", text, _messages(text, tongue, state) + forms.message(text, names, to)),
            _section("people", text, _people(text, tongue, state, wanted)),
        ]
    )


def _tiles(text: dict[str, str], state: State, lab: Lab) -> str:
    sizes = [lab.profiles[r.server.profile] for r in state.running if r.server.profile in lab.profiles]
    clusters = [c for r in state.running for c in r.clusters]
    reserved = text["reserved"].format(
        cores=_several(text, "core", sum(s.cores for s in sizes)), memory=Bytes(sum(s.memory for s in sizes))
    )
    workers = ", ".join(_several(text, one, sum(c[f"{one}s"] for c in clusters)) for one in ("worker", "core"))
    tiles = [
        (text["people"], f"{len(state.here())} {text['here']}", text["known"].format(n=len(state.members))),
        (text["servers"], str(len(state.running)), reserved if sizes else ""),
        (text["clusters"], str(len(clusters)), workers),
    ]
    inner = "".join(
        f'<div class="tile"><span>{head}</span><b>{number}</b><span class="soft">{below}</span></div>'
        for head, number, below in tiles
    )
    return f'<div class="tiles">{inner}</div>'


def _section(name: str, text: dict[str, str], inner: str) -> str:
    return f'<section id="{name}" aria-labelledby="{name}-head"><h2 id="{name}-head">{text[name]}</h2>{inner}</section>'


def _several(text: dict[str, str], one: str, number: float) -> str:
    return f"{number:g} {text[one if number == 1 else f'{one}s']}"


def _budgets(text: dict[str, str], tongue: Language, state: State, lab: Lab) -> str:
    links = "".join(
        f'<a class="button plain" href="{escape(place(lab, path))}">{words}</a> '
        for path, words in (("services/usage/costs", text["report"]), ("services/usage/all", text["usage"]))
        if lab.prices.currency or not path.endswith("costs")
    )
    notes = "".join(
        f'<p class="note{" over" if b["over"] else ""}">'
        + escape(
            text["near"].format(
                kind=text[f"kind{b['kind']}"],
                name=b["name"],
                part=percent(b["part"], tongue),
                budget=b["budget"],
                currency=b["currency"],
            )
        )
        + "</p>"
        for b in state.budgets
    )
    return f"{notes}<p>{links}</p>"


def _servers(text: dict[str, str], tongue: Language, state: State, lab: Lab) -> str:
    if not state.running:
        return f"<p>{text['noServers']}</p>"
    rows = []
    for one in state.running:
        server = one.server
        profile = lab.profiles.get(server.profile)
        size = f"{server.profile}: {profile.cores:g} × {profile.memory}" if profile else server.profile or "–"
        here = f' <span class="badge">{text["isHere"]}</span>' if server.person in state.here() else ""
        named = f'<div class="soft">{escape(server.name)}</div>' if server.name else ""
        rows.append(
            [
                f"{escape(server.person)}{here}{named}",
                escape(size),
                _ago(text, tongue, state, server.started),
                _ago(text, tongue, state, one.active),
                "<br>".join(escape(n) for n in one.notebooks) or "–",
                _end(text, state, one),
            ]
        )
    heads = [text[k] for k in ("person", "size", "since", "used", "open", "state")]
    return listed(text["servers"], heads, rows)


def _end(text: dict[str, str], state: State, one: Running) -> str:
    """Return what is to happen to a server, or the form that stops it."""
    key = (one.server.person, one.server.name, "")
    if order := state.order(*key):
        return forms.order(text, order, text["stops"].format(when=_clock(order["when"])))
    if not one.server.ready:
        return text["starts"]
    warned = (
        f'<div class="soft">{text[one.notice["why"]].format(when=_clock(one.notice["stops"]))}</div>'
        if one.notice and one.notice["why"] in ("idle", "age")
        else ""
    )
    return warned + forms.stop(text, *key, text["stopServer"])


def _clusters(text: dict[str, str], state: State) -> str:
    rows = []
    for one in state.running:
        person, server = one.server.person, one.server.name
        for c in one.clusters:
            if order := state.order(person, server, c["id"]):
                late = time(order["when"]) < state.now
                words = text["late" if late else "stops"].format(when=_clock(order["when"]))
                end = forms.order(text, order, words)
            else:
                end = forms.stop(text, person, server, c["id"], text["stopCluster"])
            rows.append(
                [
                    escape(person),
                    escape(c["name"]),
                    escape(c["place"]),
                    str(c["workers"]),
                    str(c["cores"]),
                    str(Bytes(c["memory"])),
                    str(c["tasks"]),
                    end,
                ]
            )
    if not rows:
        return f"<p>{text['noClusters']}</p>"
    heads = [
        text[k] for k in ("person", "cluster", "place", "workersHead", "coresHead", "memoryHead", "tasks", "state")
    ]
    return listed(text["clusters"], heads, rows)


def _messages(text: dict[str, str], tongue: Language, state: State) -> str:
    if not state.messages:
        return f'<p>{text["noMessages"]}</p><p class="soft">{text["messagesHint"]}</p>'
    rows = [
        [
            escape(m["to"]) or text["all"],
            escape(m["text"]),
            escape(m["by"]),
            _when(m["until"], tongue),
            forms.take_back(text, m["id"]),
        ]
        for m in state.messages
    ]
    heads = [text[k] for k in ("to", "text", "sender", "shownUntil", "action")]
    return f'{listed(text["messages"], heads, rows)}<p class="soft">{text["messagesHint"]}</p>'


def _people(text: dict[str, str], tongue: Language, state: State, wanted: str) -> str:
    words = wanted.strip().lower()
    found = [m for m in state.members if not words or any(words in n.lower() for n in (m.name, *m.groups))]
    with_server = {r.server.person for r in state.running}
    rows = []
    for member in found[:_MOST]:
        there = text["isHere"] if member.name in state.here() else text["hasServer"] * (member.name in with_server)
        badge = f'<span class="badge">{there}</span>' if there else ""
        rows.append(
            [
                escape(member.name),
                escape(", ".join(member.groups)) or "–",
                badge,
                _ago(text, tongue, state, member.active) if member.active else text["never"],
                forms.write_to(text, member.name),
            ]
        )
    less = f"<p>{text['shown'].format(n=_MOST, all=len(found))}</p>" if len(found) > _MOST else ""
    heads = [text[k] for k in ("person", "groups", "state", "active", "message")]
    table = listed(text["people"], heads, rows) if rows else f"<p>{text['nobody']}</p>"
    return f"{forms.search(text, wanted)}{table}{less}"


def listed(caption: str, heads: list[str], rows: list[list[str]]) -> str:
    """Return a table of HTML cells that may be wider than the page."""
    top = "".join(f'<th scope="col">{h}</th>' for h in heads)
    lines = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{c}</td>" for c in row[1:])}</tr>' for row in rows
    )
    return (
        f'<div class="scroll"><table class="list"><caption class="skip">{caption}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _ago(text: dict[str, str], tongue: Language, state: State, moment: datetime) -> str:
    seconds = (state.now - moment).total_seconds()
    for size, unit in ((86400, "j" if tongue == "fr" else "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            words = text["ago"].format(t=f"{seconds // size:.0f} {unit}")
            break
    else:
        words = text["now"]
    return f'<time datetime="{moment.isoformat()}" title="{_when(moment.isoformat(), tongue)}">{words}</time>'


def _when(iso: str, tongue: Language) -> str:
    return time(iso).strftime("%d/%m/%Y %H:%M UTC" if tongue == "fr" else "%Y-%m-%d %H:%M UTC")


def _clock(iso: str) -> str:
    return time(iso).strftime("%H:%M UTC")
