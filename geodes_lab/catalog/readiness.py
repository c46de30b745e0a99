"""Which products can be read at once."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import pystac

from geodes_lab.errors import shown
from geodes_lab.storage import tape


def availability(items: Iterable[pystac.Item]) -> pd.DataFrame:
    """Return which products are on disk and which on tape; asks the portal for many products at once.

    Parameters
    ----------
    items
        Items of `geodes_lab.search`.

    Returns
    -------
    pandas.DataFrame
        By product, in the given order: ``state`` is ``disk``, ``tape`` or ``unknown``, ``advice`` what to do. Products
        in the mirror or on this machine are on disk, without a request.

    Raises
    ------
    GeodesError
        If the portal does not answer, or refuses.
    """
    listed = list(items)
    products = [None if tape.is_here(item) else tape.product(item) for item in listed]
    on_portal = [p for p in products if p is not None]
    states = dict(zip((p.download for p in on_portal), tape.on_disk(on_portal) if on_portal else [], strict=True))
    rows = []
    for item, product in zip(listed, products, strict=True):
        name = str(item.properties.get("identifier") or item.id)
        if product is None:
            state, advice = ("disk", "") if tape.is_here(item) else ("unknown", "its catalogue does not tell")
        else:
            state = {True: "disk", False: "tape", None: "unknown"}[states[product.download]]
            advice = {"disk": "", "tape": product.way_out, "unknown": f"{product.portal} does not tell"}[state]
        rows.append({"product": shown(name), "state": state, "advice": shown(advice)})
    return pd.DataFrame(rows, columns=["product", "state", "advice"]).set_index("product")
