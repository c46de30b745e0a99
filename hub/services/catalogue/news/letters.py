"""The words of mails, in French and English: plain text, with links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SHOWN = 30  # products of a mail, each with its link
_NAME = 150  # characters of the name of a search or a product

_WORDS = {
    "en": {
        "subject": "New products: {name}",
        "one": "{n} new product for your search “{name}”:",
        "several": "{n} new products for your search “{name}”:",
        "more": "… and {n} more, on the page of the search.",
        "search": "The search: {page}",
        "stop": "No more mails: open this page, and switch them off at “Saved searches”.",
        "confirm": "Confirm your address for mails of GEODES Lab",
        "asked": "{person} of GEODES Lab wants mails about new products at this address. If that is you, open this "
        "page within a day, logged in as {person}:",
        "else": "If it is not you, do nothing: no mail will come.",
    },
    "fr": {
        "subject": "Nouveaux produits : {name}",
        "one": "{n} nouveau produit pour votre recherche « {name} » :",
        "several": "{n} nouveaux produits pour votre recherche « {name} » :",
        "more": "… et {n} de plus, sur la page de la recherche.",
        "search": "La recherche : {page}",
        "stop": "Plus de mails : ouvrez cette page, et arrêtez-les dans « Recherches gardées ».",
        "confirm": "Confirmez votre adresse pour les mails de GEODES Lab",
        "asked": "{person} de GEODES Lab veut recevoir à cette adresse des mails sur les nouveaux produits. Si c'est "
        "vous, ouvrez cette page sous un jour, connecté comme {person} :",
        "else": "Si ce n'est pas vous, ne faites rien : aucun mail ne viendra.",
    },
}


def news(language: str, name: str, page: str, items: Sequence[tuple[dict[str, Any], str]]) -> tuple[str, str]:
    """Return subject and text of a mail about new products.

    Parameters
    ----------
    language
        ``en`` or ``fr``.
    name
        Of the search.
    page
        Its address.
    items
        The new products, each with its address.
    """
    words, name = _WORDS[language], _line(name)
    lines = [words["one" if len(items) == 1 else "several"].format(n=len(items), name=name), ""]
    for item, link in items[:_SHOWN]:
        properties = item["properties"]
        acquired = str(properties.get("datetime") or properties.get("start_datetime") or "")[:16].replace("T", " ")
        lines += [f"- {acquired}  {_line(str(item['id']))}", f"  {link}"]
    if len(items) > _SHOWN:
        lines += ["", words["more"].format(n=len(items) - _SHOWN)]
    lines += ["", words["search"].format(page=page), words["stop"]]
    return words["subject"].format(name=name), "\n".join(lines) + "\n"


def confirmation(language: str, person: str, link: str) -> tuple[str, str]:
    """Return subject and text of the mail by which a person confirms an address."""
    words = _WORDS[language]
    text = "\n\n".join((words["asked"].format(person=_line(person)), link, words["else"]))
    return words["confirm"], f"{text}\n"


def _line(text: str) -> str:
    return " ".join(text.split())[:_NAME]
