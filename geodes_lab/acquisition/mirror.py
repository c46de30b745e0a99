"""``gl.mirror``: some products, into a datalake of one's own and its catalogue."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from geodes_lab import arguments
from geodes_lab.acquisition.engine import Engine, Result
from geodes_lab.acquisition.ledger.tables import products as table
from geodes_lab.acquisition.loading import understood
from geodes_lab.acquisition.publication import Page, Publication
from geodes_lab.acquisition.sources import Request
from geodes_lab.acquisition.sources import catalogue as catalogues
from geodes_lab.errors import GeodesError
from geodes_lab.products import as_item, several
from geodes_lab.storage.fetch import Remote

_SOURCE = "mirror"


class MirrorFailed(GeodesError):
    """Some products did not come; ``table`` says what became of each."""

    table: pd.DataFrame


@dataclass(frozen=True)
class _Given:
    """The products of a call, as a source."""

    publications: dict[str, list[Publication]]

    def look(self, request: Request, position: str) -> Iterator[Page]:
        yield Page(tuple(self.publications.get(request.collection, ())))

    def acknowledge(self, page: Page) -> None:
        pass

    def remote(self, publication: Publication) -> Remote:
        return catalogues.remote(publication)


def mirror(
    items: Any,
    datalake: str | os.PathLike[str],
    *,
    catalogue: str | os.PathLike[str] | None = None,
    state: str | os.PathLike[str] | None = None,
    parallel: int = 4,
) -> pd.DataFrame:
    """Copy products into a datalake of your own, verified, and enter them in its catalogue.

    Call it again after an interruption, or with more products: what is there stays, and what has begun is continued.
    Each product is verified as ``geodes-lab acquire`` does: size, checksum, every member of its zip against the
    manifest. A newer processing of an acquisition becomes the latest one; the earlier one stays.

    Parameters
    ----------
    items
        Items of `geodes_lab.search`, or dictionaries of Items; one or several.
    datalake
        A folder, or ``s3://bucket/prefix`` on the lab's datalake.
    catalogue
        The folder of the catalogue; by default ``catalogue`` in the datalake's folder. Search it with ``gl.search(…,
        url=catalogue)``.
    state
        The folder in which the call remembers what became of each product; by default ``.acquisition`` in the
        datalake's folder.
    parallel
        Products at the same time, 1 to 32.

    Returns
    -------
    pandas.DataFrame
        What became of each product: ``state`` (``done`` if it is there), ``verified``, ``reason``, ``bytes``, by name.

    Raises
    ------
    MirrorFailed
        If some products did not come; all others are there. ``error.table`` says what became of each.
    GeodesError
        If an argument is wrong.

    Examples
    --------
    >>> items = gl.search("PEPS_S2_L1C", tile="31TCJ", datetime="2021-06")           # doctest: +SKIP
    >>> gl.mirror(items, "/data/lake")                                               # doctest: +SKIP
    >>> gl.search("PEPS_S2_L1C", url="/data/lake/catalogue")                         # doctest: +SKIP
    """
    where = os.fspath(datalake)
    is_bucket = "://" in where
    if is_bucket and (catalogue is None or state is None):
        raise GeodesError(f"For {where}, give catalogue= and state=: two folders of this machine.")
    at_once = min(arguments.whole("parallel", parallel, "a number of products, 1 to 32", 1), 32)
    publications: dict[str, list[Publication]] = {}
    for product in several(items):
        item = as_item(product)
        if not item.collection_id:
            raise GeodesError(f"{item.id} has no collection: give Items of gl.search.")
        publications.setdefault(item.collection_id, []).append(catalogues.of_item(item))
    if not publications:
        raise GeodesError("There is nothing to mirror: the search has no results.")
    home = Path(where).expanduser()
    config = understood(
        {
            "version": 1,
            "sources": {_SOURCE: {"kind": "plug-in", "name": _SOURCE}},
            "collections": {name: {"source": _SOURCE} for name in publications},
            "destination": {"s3": where} if is_bucket else {"folder": str(home)},
            "catalogue": str(catalogue or home / "catalogue"),
            "state": {"folder": str(state or home / ".acquisition")},
            "schedule": {"attempts": 1},
            "parallel": at_once,
        },
        "gl.mirror",
        Path.cwd(),
    )
    engine = Engine(config, given={_SOURCE: _Given(publications)})
    engine.leases.again(_SOURCE)
    result = engine.run()
    return _report(engine, publications, result)


def _report(engine: Engine, publications: dict[str, list[Publication]], result: Result) -> pd.DataFrame:
    ids = {p.id for some in publications.values() for p in some}
    rows = _rows(engine, sorted(ids))
    report = pd.DataFrame(rows, columns=["product", "state", "verified", "reason", "bytes"]).set_index("product")
    bad = report[~report["state"].isin(["done", "same"])]
    if result.failed or len(bad):
        reasons = [*result.failed.values(), *(f"{n}: {r or s}" for n, s, r in bad[["state", "reason"]].itertuples())]
        error = MirrorFailed(f"{max(len(bad), 1)} of {len(report)} products did not come: {'; '.join(reasons[:3])}")
        error.table = report
        raise error
    return report


def _rows(engine: Engine, ids: Sequence[str]) -> list[tuple[Any, ...]]:
    import sqlalchemy as sa

    c = table.c
    newest: dict[str, tuple[Any, ...]] = {}
    with engine.database.change() as connection:
        for first in range(0, len(ids), 500):
            query = sa.select(table).where(c.source == _SOURCE, c.upstream.in_(ids[first : first + 500]))
            for r in connection.execute(query.order_by(c.number)):
                verified = "" if r.evidence is None else _verified(r.evidence)
                newest[r.upstream] = (r.name, r.state, verified, r.reason, r.size)
    return list(newest.values())


def _verified(evidence: str) -> str:
    import json

    return str(json.loads(evidence)["verified"])
