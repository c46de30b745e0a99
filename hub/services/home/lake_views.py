"""What the first page shows of the news of the datalake, in French and English."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime

from hub.services.home.lake_news import Told
from hub.services.pages import Language

_TEXT: dict[Language, dict[str, str]] = {
    "en": {
        "lake": "From the datalake",
        "collection": "New collection",
        "product type": "New type of product",
        "baseline": "New baseline",
        "format": "Changed format",
        "address": "New server",
        "arrival": "Arrival",
        "deletion": "Deleted upstream",
        "refusal": "Refused",
        "outage": "Outage",
        "recovery": "End of an outage",
        "other": "Other",
    },
    "fr": {
        "lake": "Du côté du datalake",
        "collection": "Nouvelle collection",
        "product type": "Nouveau type de produit",
        "baseline": "Nouvelle version de traitement",
        "format": "Format changé",
        "address": "Nouveau serveur",
        "arrival": "Arrivée",
        "deletion": "Supprimé en amont",
        "refusal": "Refusé",
        "outage": "Panne",
        "recovery": "Fin de panne",
        "other": "Autre",
    },
}
_FORM: dict[Language, str] = {"en": "%Y-%m-%d %H:%M UTC", "fr": "%d/%m/%Y %H:%M UTC"}


def card(tongue: Language, told: Sequence[Told]) -> str:
    """The card; nothing if there are no news."""
    if not told:
        return ""
    text, lines = _TEXT[tongue], []
    for one in told:
        is_french = tongue == "fr" and one.texte
        language = ' lang="en"' if tongue == "fr" and not is_french else ""
        moment = datetime.fromisoformat(one.published.replace("Z", "+00:00"))
        words = html.escape(one.texte if is_french else one.text)
        head = f"{text[one.kind]} · {moment.strftime(_FORM[tongue])}"
        lines.append(f'<li><p class="soft">{head}</p><p{language}>{words}</p></li>')
    return f'<section class="card wide news"><h2>{text["lake"]}</h2><ul class="told">{"".join(lines)}</ul></section>'
