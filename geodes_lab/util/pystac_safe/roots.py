"""Items that do not read their root.

pystac reads the root whenever an Item is serialised, copied or saved, and the root may be on a server.
"""

from __future__ import annotations

from typing import Any, cast

import pystac


class RootedItem(pystac.Item):
    """An Item that can be serialised without reading the root of its catalogue.

    This holds for its copies too, and for the ones that workers receive.
    """

    def get_root(self) -> pystac.Catalog | None:
        """Return the root if it is known; None if it would have to be read: ``get_root_link()`` has its address."""
        link = self.get_root_link()
        return cast(pystac.Catalog, link.target) if link is not None and link.is_resolved() else None


def settle(item: pystac.Item, io: Any = None) -> pystac.Item:
    """Make an Item that does not read its root.

    Links to the parent and the collection are read when they are followed.

    Parameters
    ----------
    item
        Any Item; it is changed. An Item of another package's own class stays as it is.
    io
        How links of the Item are read (a `pystac.StacIO`); None: pystac's default.

    Returns
    -------
    pystac.Item
        The same Item.
    """
    if type(item) is pystac.Item:
        item.__class__ = RootedItem
    if io is not None:
        setattr(item, "_stac_io", io)  # noqa: B010  (pystac has it for all, and says so for catalogues alone)
    return item
