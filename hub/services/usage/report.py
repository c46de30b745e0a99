"""The report of a month's costs, in French and English: a page and a CSV of the same figures."""

from __future__ import annotations

from decimal import Decimal
from html import escape
from typing import Any, get_args

from geodes_lab.policy.prices import GB
from hub.services.pages import Language, percent, table
from hub.services.usage.bill import Bill, Cost, Kind, Line, gb_months

HEADS = ("month", "kind", "name", "servers", "storage", "read", "total", "budget", "currency")
_TEXT: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Costs of the month",
        "month": "Month",
        "show": "Show",
        "project": "Projects",
        "group": "Groups",
        "person": "People",
        "name": "Name",
        "servers": "Servers",
        "storage": "Homes",
        "read": "Read",
        "total": "Total",
        "budget": "Budget",
        "part": "Spent",
        "noproject": "(no project)",
        "noperson": "(names no longer stored)",
        "several": "A person in several groups is counted in each, so this table has no sum.",
        "rounding": "Each line, of one person, one thing and the groups at that time, is rounded to cents; all sums "
        "are of these lines. A month keeps the prices, projects and budgets that were in force at its end.",
        "none": "No prices are set for this month: the section `prices` of the operator's file sets them.",
        "csv": "The same as CSV",
        "usage": "Usage of all",
        "prices": "Prices of this month",
        "what": "What",
        "price": "Price",
        "core_hour": "Core, an hour",
        "memory_hour": "GiB of memory, an hour",
        "size": "Server of size {name}, an hour",
        "storage_gb_month": "GB in a home, a month",
        "read_gb": "GB read from the datalake",
        "mine": "My costs",
        "quantity": "Quantity",
        "cost": "Cost",
        "server": "Server {size}",
        "h": "{n} h",
        "gbm": "{n} GB × months",
        "gb": "{n} GB",
        "spent": "{part} of your budget of {budget} {currency} is spent.",
    },
    "fr": {
        "title": "Coûts du mois",
        "month": "Mois",
        "show": "Afficher",
        "project": "Projets",
        "group": "Groupes",
        "person": "Personnes",
        "name": "Nom",
        "servers": "Serveurs",
        "storage": "Espaces",
        "read": "Lectures",
        "total": "Total",
        "budget": "Budget",
        "part": "Dépensé",
        "noproject": "(sans projet)",
        "noperson": "(noms non conservés)",
        "several": "Une personne membre de plusieurs groupes est comptée dans chacun : ce tableau n'a pas de somme.",
        "rounding": "Chaque ligne, d'une personne, d'une chose et des groupes d'alors, est arrondie au centime ; "
        "toutes les sommes sont celles de ces lignes. Un mois garde les prix, projets et budgets en vigueur à sa fin.",
        "none": "Aucun prix pour ce mois : la section `prices` du fichier de l'opérateur les fixe.",
        "csv": "La même chose en CSV",
        "usage": "Usage de tous",
        "prices": "Prix de ce mois",
        "what": "Quoi",
        "price": "Prix",
        "core_hour": "Cœur, une heure",
        "memory_hour": "Gio de mémoire, une heure",
        "size": "Serveur de taille {name}, une heure",
        "storage_gb_month": "Go dans un espace, un mois",
        "read_gb": "Go lu dans le datalake",
        "mine": "Mes coûts",
        "quantity": "Quantité",
        "cost": "Coût",
        "server": "Serveur {size}",
        "h": "{n} h",
        "gbm": "{n} Go × mois",
        "gb": "{n} Go",
        "spent": "{part} de votre budget de {budget} {currency} est dépensé.",
    },
}


def rows(bill: Bill) -> list[list[Any]]:
    """Return the rows of the CSV, with the columns `HEADS`."""
    lines = [
        [bill.month, kind, name, *_amounts(cost), _budget(bill, kind, name), bill.currency]
        for kind in get_args(Kind)
        for name, cost in bill.by(kind).items()
    ]
    return [*lines, [bill.month, "total", "", *_amounts(bill.whole), "", bill.currency]]


def report(tongue: Language, bill: Bill) -> tuple[str, str]:
    """Return the title and the body of the page of a month, for operators."""
    text = _TEXT[tongue]
    form = (
        f'<form method="get" class="search"><label for="month">{text["month"]}</label><input id="month" name="month" '
        f'type="month" value="{bill.month}"> <button class="button plain">{text["show"]}</button></form>'
    )
    if not bill.currency:
        return text["title"], f'{form}<p class="note">{text["none"]}</p>'
    parts = [_table(text, tongue, bill, kind) for kind in get_args(Kind)]
    links = f'<p><a href="costs.csv?month={bill.month}">{text["csv"]}</a> · <a href="all">{text["usage"]}</a></p>'
    return text["title"], f"{form}{''.join(parts)}{links}{_prices(text, bill)}<p class='soft'>{text['rounding']}</p>"


def own(tongue: Language, bill: Bill, person: str) -> str:
    """Return what a person's own use costs, line by line."""
    text = _TEXT[tongue]
    several = [
        [_what(text, line), _quantity(text, line, bill), money(line.amount, tongue)]
        for line in bill.lines
        if line.person == person
    ]
    total = bill.by("person").get(person, Cost()).total
    several.append([text["total"], "", f"{money(total, tongue)} {bill.currency}"])
    spent = bill.spent("person", person)
    note = ""
    if spent:
        words = text["spent"].format(
            part=percent(spent.part, tongue), budget=money(spent.budget, tongue), currency=bill.currency
        )
        style = ' class="note over"' if spent.part >= 1 else ' class="note"' if bill.is_near(spent) else ""
        note = f"<p{style}>{words}</p>"
    head = [text["what"], text["quantity"], f"{text['cost']} ({bill.currency})"]
    return note + table(f"{text['mine']}: {bill.month}", head, several)


def money(amount: Decimal, tongue: Language) -> str:
    """Return an amount as people write it."""
    written = f"{amount:,.2f}"
    return written.replace(",", "\u202f").replace(".", ",") if tongue == "fr" else written


def _table(text: dict[str, str], tongue: Language, bill: Bill, kind: Kind) -> str:
    lines = []
    for name, cost in bill.by(kind).items():
        title = bill.tariff.projects[name].title if kind == "project" and name else ""
        shown = (title or name) if name else text[f"no{kind}"]
        spent = bill.spent(kind, name)
        amounts = "".join(f"<td>{money(a, tongue)}</td>" for a in _amounts(cost))
        budget, part = (money(spent.budget, tongue), percent(spent.part, tongue)) if spent else ("", "")
        badge = f'<span class="badge warn">{part}</span>' if spent and bill.is_near(spent) else part
        lines.append(f'<tr><th scope="row">{escape(shown)}</th>{amounts}<td>{budget}</td><td>{badge}</td></tr>')
    if kind != "group":
        whole = "".join(f"<td>{money(a, tongue)}</td>" for a in _amounts(bill.whole))
        lines.append(f'<tr class="total"><th scope="row">{text["total"]}</th>{whole}<td></td><td></td></tr>')
    heads = "".join(
        f'<th scope="col">{text[k]}</th>' for k in ("name", "servers", "storage", "read", "total", "budget", "part")
    )
    note = f'<p class="soft">{text["several"]}</p>' if kind == "group" else ""
    return (
        f'<div class="scroll"><table id="{kind}"><caption>{text[kind]}, {bill.currency}</caption><thead><tr>'
        f"{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>{note}"
    )


def _prices(text: dict[str, str], bill: Bill) -> str:
    prices = bill.tariff.prices
    several = [
        [text[name], f"{price} {bill.currency}"]
        for name in ("core_hour", "memory_hour", "storage_gb_month", "read_gb")
        if (price := getattr(prices, name))
    ]
    several += [[text["size"].format(name=name), f"{price} {bill.currency}"] for name, price in prices.sizes.items()]
    return table(text["prices"], [text["what"], text["price"]], several)


def _amounts(cost: Cost) -> list[Decimal]:
    return [cost.servers, cost.storage, cost.read, cost.total]


def _budget(bill: Bill, kind: Kind, name: str) -> str:
    budget = bill.budget(kind, name)
    return "" if budget is None else str(budget)


def _what(text: dict[str, str], line: Line) -> str:
    return text["server"].format(size=line.item.size) if line.item.kind == "server" else text[line.item.kind]


def _quantity(text: dict[str, str], line: Line, bill: Bill) -> str:
    item = line.item
    if item.kind == "server":
        return text["h"].format(n=f"{item.hours:.1f}")
    if item.kind == "storage":
        return text["gbm"].format(n=f"{gb_months(item, bill.month):.2f}")
    return text["gb"].format(n=f"{item.read / GB:.2f}")
