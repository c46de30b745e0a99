"""Items whose root is not asked for.

Pystac reads it whenever one is written down, copied or saved, and it may lie on a server.
"""

from __future__ import annotations

from typing import Any, cast

import pystac


class RootedItem(pystac.Item):
    """An Item that is written down without reading the root of its catalogue.

    Its copies, and what workers get of it, too.
    """

    def get_root(self) -> pystac.Catalog | None:
        """The root where it is known; None where it would have to be read: ``get_root_link()`` says where it is."""
        link = self.get_root_link()
        return cast(pystac.Catalog, link.target) if link is not None and link.is_resolved() else None


def settle(item: pystac.Item, io: Any = None) -> pystac.Item:
    """Make an Item one whose root is not asked for.

    Links to the parent and the collection are read when they are followed.

    Parameters
    ----------
    item
        Any Item; it is changed. One of another package's own class is left as it is.
    io
        How links of the Item are read (a `pystac.StacIO`); None: pystac's own way.

    Returns
    -------
    pystac.Item
        The same.
    """
    if type(item) is pystac.Item:
        item.__class__ = RootedItem
    if io is not None:
        setattr(item, "_stac_io", io)  # noqa: B010  (pystac has it for all, and says so for catalogues alone)
    return item
