"""The products that a request is about: those that the person may see and read, and nothing else of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from morecantile import Tile, tms
from starlette.concurrency import run_in_threadpool

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import refusing
from hub.services.data.lake import Lake, NoObject
from hub.services.person import Person
from hub.services.tiles import addresses, reachable
from hub.services.tiles.addresses import MOSAIC, Address, NotSo
from hub.services.tiles.broker import Broker
from hub.services.tiles.catalogue import MOST_ITEMS, ORDERS, Catalogue

NOTHING = "There is no such product, or you have no access to it."


class Products:
    """Finds products, and lets the tiler read them.

    Parameters
    ----------
    lab
        The operator's file.
    catalogue
        Says what people may see.
    lake, hosts
        The datalake, and the host names of its addresses.
    broker
        Gives the tilers what they may read.
    """

    def __init__(self, lab: Lab, catalogue: Catalogue, lake: Lake, hosts: Collection[str], broker: Broker) -> None:
        self._lab, self._catalogue, self._lake, self._hosts, self._broker = lab, catalogue, lake, hosts, broker

    async def of(self, address: Address, person: Person) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Return the Items to draw, with the addresses that may be opened, and headers that say what is left out."""
        note: dict[str, str] = {}
        if address.item == MOSAIC:
            documents, note = await self._mosaic(address, person)
        else:
            document = await self._catalogue.item(person.name, address.collection, address.item)
            documents = [document] if document else []
        items = []
        for document in documents:
            item, places = reachable.of(document, person, self._lab, self._hosts)
            if admitted := await run_in_threadpool(self._admitted, person, places):
                self._broker.admit(admitted)
                items.append(item)
        if not items:
            raise NotSo(404, NOTHING if not documents else f"{NOTHING} It may have no address on the datalake.")
        return items, note

    def _admitted(self, person: Person, places: Collection[str]) -> set[str]:
        """Return places, and what links of a folder lead to; empty if one leads to what the person may not read."""
        every = set(places)
        for place in places:
            bucket, _, key = place.partition("/")
            try:
                every.add(self._lake.real(bucket, key))
            except NoObject:
                return set()
        return set() if any(refusing(person.groups, place, self._lab) for place in every) else every

    async def _mosaic(self, address: Address, person: Person) -> tuple[list[dict[str, Any]], dict[str, str]]:
        order = addresses.one(address.search, "order", "latest")
        if order not in ORDERS:
            raise NotSo(400, f"order is one of {', '.join(ORDERS)}, not {order[:40]!r}.")
        clouds = addresses.one(address.search, "cloud_cover")
        try:
            if clouds and not 0 <= float(clouds) <= 100:
                raise ValueError
        except ValueError:
            raise NotSo(400, "cloud_cover is a number from 0 to 100.") from None
        box = _box_of(address) or addresses.one(address.search, "bbox")
        if not box:
            raise NotSo(400, "Outside of tiles and points, a mosaic needs bbox=WEST,SOUTH,EAST,NORTH.")
        items, more = await self._catalogue.search(
            person.name, address.collection, bbox=box, datetime=addresses.one(address.search, "datetime"), order=order,
            clouds=clouds,
        )  # fmt: skip
        if not items and not await self._catalogue.may_see(person.name, address.collection):
            raise NotSo(404, NOTHING)
        return items, {"Geodes-Left-Out": f"products after the first {MOST_ITEMS}"} if more else {}


def _box_of(address: Address) -> str:
    """Return the box in degrees of a tile or a point, for the search."""
    if address.tile is not None:
        name, zoom, column, row = address.tile
        try:
            grid = tms.get(name)
            matrix = grid.matrix(zoom) if grid.minzoom <= zoom <= grid.maxzoom else None
        except Exception:  # morecantile's own, for a name that it does not know
            raise NotSo(404, f"There is no tile matrix set {name[:40]!r}.") from None
        if matrix is None or not (column < matrix.matrixWidth and row < matrix.matrixHeight):
            raise NotSo(404, "There is no such tile.")
        west, south, east, north = grid.bounds(Tile(column, row, zoom))
        return ",".join(f"{v:.7f}" for v in (max(west, -180), max(south, -90), min(east, 180), min(north, 90)))
    if address.rest.startswith("point/"):
        longitude, latitude = (float(v) for v in address.rest.removeprefix("point/").split(","))
        if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
            raise NotSo(404, "The point is not on the Earth: a longitude, a comma, a latitude.")
        edge = 1e-6
        return f"{longitude - edge},{latitude - edge},{longitude + edge},{latitude + edge}"
    return ""
