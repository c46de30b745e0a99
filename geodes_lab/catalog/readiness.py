"""Which products can be read at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pystac

from geodes_lab.errors import shown
from geodes_lab.storage import tape

if TYPE_CHECKING:
    import pandas as pd


def availability(items: Iterable[pystac.Item]) -> pd.DataFrame:
    """Return which products are on disk and which are on tape. This sends one request to the portal for many products.

    Parameters
    ----------
    items
        Items of `geodes_lab.search`.

    Returns
    -------
    pandas.DataFrame
        One row per product, in the given order: ``state`` is ``disk``, ``tape`` or ``unknown``, and ``advice`` is what
        to do. For products in the mirror or on this machine, the state is ``disk``, without a request.

    Raises
    ------
    GeodesError
        If the portal does not answer, or refuses the request.
    """
    import pandas as pd  # here, since services search without it, and it takes half a second

    listed = list(items)
    products = [None if tape.is_here(item) else tape.product(item) for item in listed]
    on_portal = [p for p in products if p is not None]
    states = dict(zip((p.download for p in on_portal), tape.on_disk(on_portal) if on_portal else [], strict=True))
    rows = []
    for item, product in zip(listed, products, strict=True):
        name = str(item.properties.get("identifier") or item.id)
        if product is None:
            state, advice = (
                ("disk", "") if tape.is_here(item) else ("unknown", "its catalogue does not say whether it is on tape")
            )
        else:
            state = {True: "disk", False: "tape", None: "unknown"}[states[product.download]]
            advice = {
                "disk": "",
                "tape": product.way_out,
                "unknown": f"{product.portal} does not say whether it is on tape",
            }[state]
        rows.append({"product": shown(name), "state": state, "advice": shown(advice)})
    return pd.DataFrame(rows, columns=["product", "state", "advice"]).set_index("product")
