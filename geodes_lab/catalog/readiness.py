"""Which products can be read at once."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import pystac

from geodes_lab.errors import shown
from geodes_lab.storage import tape


def availability(items: Iterable[pystac.Item]) -> pd.DataFrame:
    """Say which products lie on disk and which on tape; the portal is asked, many products in a request.

    Parameters
    ----------
    items
        Items of `geodes_lab.search`.

    Returns
    -------
    pandas.DataFrame
        By product, in the order given: ``state`` is ``disk``, ``tape`` or ``unknown``, ``advice`` what to do. What lies
        in the mirror or on this machine is on disk, and nobody is asked.

    Raises
    ------
    GeodesError
        If the portal does not answer, or refuses.
    """
    listed = list(items)
    products = [None if tape.is_here(item) else tape.product(item) for item in listed]
    asked = [p for p in products if p is not None]
    told = dict(zip((p.download for p in asked), tape.on_disk(asked) if asked else [], strict=True))
    rows = []
    for item, product in zip(listed, products, strict=True):
        name = str(item.properties.get("identifier") or item.id)
        if product is None:
            state, advice = ("disk", "") if tape.is_here(item) else ("unknown", "its catalogue does not tell")
        else:
            state = {True: "disk", False: "tape", None: "unknown"}[told[product.download]]
            advice = {"disk": "", "tape": product.way_out, "unknown": f"{product.portal} does not tell"}[state]
        rows.append({"product": shown(name), "state": state, "advice": shown(advice)})
    return pd.DataFrame(rows, columns=["product", "state", "advice"]).set_index("product")
