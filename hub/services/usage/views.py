"""The pages' words and tables, in French and English."""

from __future__ import annotations

import html
from dataclasses import fields

from geodes_lab.policy.groups import Quota
from geodes_lab.policy.limits import Verdict
from geodes_lab.policy.units import Bytes
from hub.services.pages import Language, table
from hub.services.usage.records import Use

_TEXT = {
    "en": {
        "mine": "My usage",
        "all": "Usage of the lab",
        "month": "Month",
        "show": "Show",
        "core_hours": "Core-hours",
        "memory_hours": "Memory, GiB × hours",
        "read": "Read from the datalake",
        "storage": "Home",
        "used": "Used",
        "quota": "Quota",
        "none": "no limit",
        "unknown": "not measured yet",
        "collection": "Collection",
        "person": "Person",
        "group": "Group",
        "what": "What",
        "nothing": "Nothing yet.",
        "people": "People",
        "groups": "Groups",
        "collections": "Collections",
        "hint": "Cores and memory count as reserved, from the start of a server to its end. A person in several groups "
        "is counted in each.",
        "operators": "Usage of all",
        "export": "Export",
        "former": "(names no longer stored)",
        "part": "of the quota used",
    },
    "fr": {
        "mine": "Mon usage",
        "all": "Usage du laboratoire",
        "month": "Mois",
        "show": "Afficher",
        "core_hours": "Heures de cœur",
        "memory_hours": "Mémoire, Gio × heures",
        "read": "Lu dans le datalake",
        "storage": "Espace personnel",
        "used": "Utilisé",
        "quota": "Quota",
        "none": "sans limite",
        "unknown": "pas encore mesuré",
        "collection": "Collection",
        "person": "Personne",
        "group": "Groupe",
        "what": "Quoi",
        "nothing": "Rien encore.",
        "people": "Personnes",
        "groups": "Groupes",
        "collections": "Collections",
        "hint": "Cœurs et mémoire comptent tels que réservés, du démarrage d'un serveur à son arrêt. Une "
        "personne membre de plusieurs groupes est comptée dans chacun.",
        "operators": "Usage de tous",
        "export": "Exporter",
        "former": "(nom non conservé)",
        "part": "du quota utilisé",
    },
}


def mine(
    tongue: Language, month: str, use: Use, quota: Quota, told: Verdict, collections: dict[str, int], operator: bool
) -> tuple[str, str]:
    """Title and body of a person's page."""
    text = _TEXT[tongue]
    rows = []
    meters = []
    for field in fields(Quota):
        limit = getattr(quota, field.name)
        rows.append(
            [
                text[field.name],
                _said(field.name, getattr(use, field.name), text["unknown"]),
                _said(field.name, limit) if limit else text["none"],
            ]
        )
        if field.name in told.parts:
            part = told.parts[field.name]
            label = f"{text[field.name]}: {part:.0%} {text['part']}"
            meters.append(
                f'<p><span id="m-{field.name}">{label}</span><meter min="0" max="1" high="0.8" '
                f'value="{min(part, 1):.3f}" aria-labelledby="m-{field.name}"></meter></p>'
            )  # fmt: skip
    note = f'<p class="note" role="status">{html.escape(told.reason)}</p>' if told.reason else ""
    link = f'<p><a href="all">{text["operators"]}</a></p>' if operator else ""
    read = [[c, _said("read", n)] for c, n in collections.items()]
    below = table(text["collections"], [text["collection"], text["read"]], read) if read else ""
    whole = table(f"{text['month']}: {month}", [text["what"], text["used"], text["quota"]], rows)
    return text[
        "mine"
    ], f"{_form(text, month)}{note}{whole}{''.join(meters)}{below}<p class='soft'>{text['hint']}</p>{link}"


def everybody(
    tongue: Language, month: str, people: dict[str, Use], groups: dict[str, Use], collections: dict[str, int]
) -> tuple[str, str]:
    """Title and body of the operators' page."""
    text = _TEXT[tongue]
    names = [f.name for f in fields(Use)]
    amounts = lambda use: (_said(n, getattr(use, n), text["unknown"]) for n in names)  # noqa: E731
    line = lambda name, use: [name or text["former"], *amounts(use)]  # noqa: E731
    body = table(text["people"], [text["person"], *(text[n] for n in names)], [line(p, u) for p, u in people.items()])
    body += table(
        text["groups"], [text["group"], *(text[n] for n in names[:3])], [line(g, u)[:4] for g, u in groups.items()]
    )
    body += table(
        text["collections"], [text["collection"], text["read"]], [[c, _said("read", n)] for c, n in collections.items()]
    )
    links = " · ".join(
        f'<a href="export.{form}?month={month}">{text["export"]} {form.upper()}</a>' for form in ("csv", "json")
    )
    return text["all"], f"{_form(text, month)}{body}<p>{links}</p><p class='soft'>{text['hint']}</p>"


def _form(text: dict[str, str], month: str) -> str:
    return (
        f'<form method="get"><label for="month">{text["month"]}</label><input id="month" name="month" type="month" '
        f'value="{month}"><p><button class="button">{text["show"]}</button></p></form>'
    )


def _said(name: str, value: float | None, unknown: str = "") -> str:
    if value is None:
        return unknown
    return str(Bytes(value)) if name in ("read", "storage") else f"{value:,.1f}"
