"""News of what the engine noticed, each with its evidence: new kinds of products, deletions, outages, arrivals."""

from __future__ import annotations

import hashlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from geodes_lab.acquisition.identity import Identity
from geodes_lab.acquisition.ledger.tables import Database, insert_new, looks, news
from geodes_lab.acquisition.publication import Page, Publication
from geodes_lab.acquisition.telling.french import french
from geodes_lab.errors import shown
from geodes_lab.util import instant
from geodes_lab.util.whole_file import write_whole

_MOST = 200  # entries of a feed
_FEW = 20  # members that a change of format names
_ATOM = "http://www.w3.org/2005/Atom"
_SEEN = {
    "collection": "{source} has a new collection, {what}.",
    "product type": "{source} publishes a new type of product, {what}.",
    "baseline": "{source} publishes a new processing baseline, {what}.",
    "address": "{source} gives products from another server, {what}.",
}


def tell(
    c: Connection, kind: str, subject: str, text: str, evidence: dict[str, Any], now: float, *, quiet: bool = False
) -> None:
    """Record one piece of news, once for each subject; ``quiet`` is what was so before the first look."""
    row = {"kind": kind, "subject": subject[:500], "time": now, "text": shown(text)}
    insert_new(c, news, row | {"evidence": json.dumps(evidence), "quiet": quiet})


def of_page(
    c: Connection, source: str, page: Page, several: Sequence[tuple[Publication, Identity]], now: float, *, quiet: bool
) -> None:
    """Record what a page shows for the first time: baselines, types of products, servers, collections."""
    first: dict[tuple[str, str], str] = {("collection", name): name for name in page.collections}
    for publication, identity in several:
        kind = identity.product_type or str(publication.properties.get("product:type") or "")
        baseline = identity.processing[0] if identity.family in ("sentinel2", "sentinel3", "maja") else ""
        baseline = baseline or str(publication.properties.get("processing:version") or "")
        if kind:
            first.setdefault(("product type", kind), publication.name)
        if kind and baseline:
            first.setdefault(("baseline", f"{kind} {baseline}"), publication.name)
        for href in publication.hrefs[:1]:
            if (url := urlsplit(href)).hostname:
                first.setdefault(("address", f"{url.scheme}://{url.netloc}"), publication.name)
    for (kind, what), seen in first.items():
        text = _SEEN[kind].format(source=source, what=what)
        tell(c, kind, f"{source}/{what}", text, {"first seen with": seen, "at": moment(now)}, now, quiet=quiet)


def of_product(
    c: Connection, source: str, collection: str, identity: Identity, processing: str, layout: Sequence[str], now: float
) -> None:
    """Record what a product itself shows for the first time: how it is made, and its baseline if no page says it."""
    kind = identity.product_type
    if not kind:
        return
    if processing and identity.family == "sentinel1":  # its names do not have it
        what = f"{kind} {processing}"
        text = _SEEN["baseline"].format(source=source, what=what)
        seen = {"first seen with": identity.name, "at": moment(now)}
        tell(
            c,
            "baseline",
            f"{source}/{what}",
            text,
            seen,
            now,
            quiet=_latest(c, "baseline", f"{source}/{kind} ") is None,
        )
    if not layout or identity.family not in ("sentinel1", "sentinel2", "sentinel3"):
        return  # the members of others have names of sites
    prefix = f"{collection}/{kind}/"
    before = _latest(c, "format", prefix)
    mark = hashlib.sha256("\n".join(layout).encode()).hexdigest()[:16]
    known = set((before or {}).get("members", ()))
    new, gone = ([] if before is None else sorted(s)[:_FEW] for s in (set(layout) - known, known - set(layout)))
    text = f"{kind} of {collection} has another format: {_change(new, gone)}."
    evidence: dict[str, Any] = {
        "first seen with": identity.name,
        "at": moment(now),
        "new": new,
        "gone": gone,
        "members": list(layout),
    }
    tell(c, "format", f"{prefix}{mark}", text, evidence, now, quiet=before is None)


def _latest(c: Connection, kind: str, prefix: str) -> dict[str, Any] | None:
    """Return the evidence of the latest news of a kind, of subjects that begin so."""
    where = (news.c.kind == kind, news.c.subject.startswith(prefix, autoescape=True))
    text = c.execute(sa.select(news.c.evidence).where(*where).order_by(news.c.number.desc()).limit(1)).scalar()
    return None if text is None else dict(json.loads(text))


def _change(new: Sequence[str], gone: Sequence[str]) -> str:
    parts = [
        f"{', '.join(s[:2])}{' and others' if len(s) > 2 else ''} {w}" for s, w in ((new, "new"), (gone, "gone")) if s
    ]
    return shown("; ".join(parts))[:400]


def arrived(c: Connection, collection: str, name: str, number: int, item: dict[str, Any], now: float) -> None:
    """Record that a product is in the catalogue."""
    asset = item["assets"]["product"]
    evidence = {
        "product": name,
        "href": asset["href"],
        "size": asset.get("file:size"),
        "checksum": asset.get("file:checksum"),
    }
    evidence["verified"] = item["properties"].get("geodes:verified")
    tell(c, "arrival", f"{collection}/{number}", f"{name} is in {collection}.", evidence, now)


def moment(seconds: float) -> str:
    """Write seconds since 1970 as an instant."""
    return instant.text(datetime.fromtimestamp(seconds, UTC))


def latest(database: Database, most: int = _MOST) -> list[dict[str, Any]]:
    """Return the latest news, the newest first, without what was so at the first look.

    At most half of them are arrivals: a thousand of these in an hour must not hide an outage.
    """
    query, is_arrival = (
        sa.select(news).where(news.c.quiet.is_(False)).order_by(news.c.number.desc()),
        news.c.kind == "arrival",
    )
    with database.change() as c:
        rows = [r for one in (is_arrival, ~is_arrival) for r in c.execute(query.where(one).limit(most // 2)).all()]
    rows.sort(key=lambda r: -r.number)
    return [
        {
            "number": r.number,
            "kind": r.kind,
            "subject": r.subject,
            "time": moment(r.time),
            "text": r.text,
            "evidence": {k: v for k, v in json.loads(r.evidence).items() if k != "members"},
        }
        for r in rows
    ]


def write(database: Database, folder: Path) -> None:
    """Write the feeds ``news.atom`` and ``news.json`` (JSON Feed 1.1), each whole or not at all."""
    entries = latest(database)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "news.json", json.dumps(_json(entries), indent=1).encode())
    write_whole(folder / "news.atom", _atom(entries))


def _json(entries: list[dict[str, Any]]) -> dict[str, Any]:
    items = [
        {
            "id": _id(e),
            "title": e["text"],
            "content_text": f"{e['text']} Evidence: {json.dumps(e['evidence'], ensure_ascii=False)}",
            "date_published": e["time"],
            "tags": [e["kind"]],
            "_evidence": e["evidence"],
            "_fr": french(e["kind"], e["subject"], e["evidence"]),
        }
        for e in entries
    ]
    return {"version": "https://jsonfeed.org/version/1.1", "title": "News of the datalake", "items": items}


def _atom(entries: list[dict[str, Any]]) -> bytes:
    ET.register_namespace("", _ATOM)
    feed = ET.Element(f"{{{_ATOM}}}feed")

    def add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> ET.Element:
        element = ET.SubElement(parent, f"{{{_ATOM}}}{name}", attributes)
        element.text = shown(text) or None
        return element

    add(feed, "title", "News of the datalake")
    add(feed, "id", "urn:geodes-lab:acquisition")
    add(feed, "updated", entries[0]["time"] if entries else "1970-01-01T00:00:00Z")
    add(add(feed, "author"), "name", "GEODES Lab")
    for one in entries:
        entry = add(feed, "entry")
        add(entry, "title", one["text"])
        add(entry, "id", _id(one))
        add(entry, "updated", one["time"])
        add(entry, "category", term=one["kind"])
        add(entry, "content", f"{one['text']} Evidence: {json.dumps(one['evidence'], ensure_ascii=False)}", type="text")
    return ET.tostring(feed, encoding="utf-8", xml_declaration=True)


def _id(entry: dict[str, Any]) -> str:
    return f"urn:geodes-lab:acquisition:{entry['number']}"


def failing(database: Database) -> dict[str, str]:
    """Return the sources that cannot be read now, each with the reason."""
    with database.change() as c:
        rows = c.execute(sa.select(looks.c.source, looks.c.failed).where(looks.c.failing_since.is_not(None))).all()
    return {r.source: r.failed for r in rows}
