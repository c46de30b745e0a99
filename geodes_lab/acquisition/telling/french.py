"""The news in French."""

from __future__ import annotations

from typing import Any

from geodes_lab.errors import shown

CONVERSION = "conversion of"
"""How the subject of news of a conversion begins; no source can be called so."""
_NOT_CONVERTED = "{product} n'est pas converti."
_SENTENCES = {
    "collection": "{source} a une nouvelle collection, {what}.",
    "product type": "{source} publie un nouveau type de produit, {what}.",
    "baseline": "{source} publie une nouvelle version de traitement, {what}.",
    "format": "Les produits {what} de {source} ont un autre format : {change}.",
    "address": "{source} donne des produits depuis un autre serveur, {what}.",
    "arrival": "{product} est dans {source}.",
    "deletion": "{product} a été supprimé chez {source}{why}.",
    "refusal": "{product} est refusé.",
    "outage": "{source} ne peut pas être lu.",
    "recovery": "{source} répond de nouveau.",
}


def french(kind: str, subject: str, evidence: dict[str, Any]) -> str:
    """Return a sentence; empty: there is none, and the English one stands.

    Parameters
    ----------
    kind, subject, evidence
        As the ledger has them; texts of a source within them stay in its language.
    """
    source, _, what = subject.partition("/")
    new, gone = (evidence.get(k) or [] for k in ("new", "gone"))
    counts = ((len(new), "de plus"), (len(gone), "de moins"))
    names = {
        "source": source,
        "what": what.rpartition("/")[0] if kind == "format" else what,
        "product": evidence.get("product", ""),
        "why": f" : {evidence['why']}" if evidence.get("why") else "",
        "change": ", ".join(f"{n} fichier{'s' if n > 1 else ''} {w}" for n, w in counts if n),
    }
    sentence = _NOT_CONVERTED if source == CONVERSION else _SENTENCES.get(kind, "")
    if not sentence or any(f"{{{k}}}" in sentence and not v for k, v in names.items() if k != "why"):
        return ""
    return shown(sentence.format(**names))
