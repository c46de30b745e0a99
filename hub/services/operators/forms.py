"""The forms of the operators' page; each works without a script."""

from __future__ import annotations

from html import escape
from itertools import count
from typing import Any

_numbers = count()


def stop(text: dict[str, str], person: str, server: str, cluster: str, button: str) -> str:
    """Return the form that stops a server or a cluster, closed at first."""
    n = next(_numbers)  # labels need ids of their own
    delays = {0: text["atOnce"], **{m: text["inMinutes"].format(n=m) for m in (5, 15, 30)}, 60: text["inHour"]}
    options = "".join(f'<option value="{m}"{" selected" * (m == 15)}>{words}</option>' for m, words in delays.items())
    return (
        f'<details class="act"><summary>{text["stop"]}<span class="hidden"> {escape(person)} {escape(server)}</span>'
        f'</summary><form method="post" action="stop">{_key(person, server, cluster)}'
        f'<label for="m{n}">{text["when"]}</label><select id="m{n}" name="minutes">{options}</select>'
        f'<label for="t{n}">{text["why"]}</label>'
        f'<input id="t{n}" name="text" maxlength="1000" placeholder="{text["whyHint"]}">'
        f'<p><button class="button danger">{button}</button></p></form></details>'
    )


def order(text: dict[str, str], given: dict[str, Any], words: str) -> str:
    """Return an order that is to be carried out, and the button that takes it back."""
    key = _key(given["person"], given["server"], given["cluster"])
    reason = f'<div class="soft">{escape(given["text"])}</div>' if given["text"] else ""
    return (
        f'<span class="badge warn">{words}</span>{reason}<form method="post" action="keep">{key}'
        f'<button class="button plain small">{text["keep"]}</button></form>'
    )


def message(text: dict[str, str], names: list[str], to: str) -> str:
    """Return the form for a message to one person or to all."""
    spans = {1: text["hour"], 8: text["hours8"], 24: text["day"], 168: text["week"]}
    options = "".join(f'<option value="{h}"{" selected" * (h == 24)}>{words}</option>' for h, words in spans.items())
    known = "".join(f'<option value="{escape(name)}"></option>' for name in names)
    return (
        f'<details class="card" id="message"{" open" * bool(to)}><summary>{text["write"]}</summary>'
        f'<form method="post" action="message"><label for="to">{text["to"]}</label>'
        f'<input id="to" name="to" list="names" value="{escape(to)}" placeholder="{text["all"]}" autocomplete="off">'
        f'<datalist id="names">{known}</datalist><div class="soft">{text["toHint"]}</div>'
        f'<label for="text">{text["text"]}</label><textarea id="text" name="text" rows="3" maxlength="1000" required>'
        f'</textarea><label for="hours">{text["shownFor"]}</label><select id="hours" name="hours">{options}</select>'
        f'<p><button class="button">{text["send"]}</button></p></form></details>'
    )


def take_back(text: dict[str, str], id: str) -> str:
    """Return the button that takes a message back."""
    return (
        f'<form method="post" action="withdraw"><input type="hidden" name="id" value="{escape(id)}">'
        f'<button class="button plain small">{text["takeBack"]}</button></form>'
    )


def write_to(text: dict[str, str], name: str) -> str:
    """Return the button that opens the message form for a person."""
    return (
        f'<form method="get" action="#message"><input type="hidden" name="to" value="{escape(name)}">'
        f'<button class="button plain small">{text["message"]}…<span class="hidden"> {escape(name)}</span></button>'
        "</form>"
    )


def search(text: dict[str, str], wanted: str) -> str:
    """Return the form that finds people."""
    return (
        f'<form method="get" action="#people" class="search" role="search"><label for="q">{text["find"]}</label>'
        f'<input id="q" name="q" type="search" value="{escape(wanted)}"> '
        f'<button class="button plain">{text["search"]}</button></form>'
    )


def _key(person: str, server: str, cluster: str) -> str:
    values = {"person": person, "server": server, "cluster": cluster}
    return "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in values.items())
