"""What each tool answers, as text; each function works in a thread and may wait for a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pystac

from geodes_lab import catalog
from geodes_lab.assistant import description
from geodes_lab.assistant.limits import ROWS
from geodes_lab.assistant.selection import Selection
from geodes_lab.catalog.items import Items
from geodes_lab.cube.opening import open_cube
from geodes_lab.errors import GeodesError, nearest, shown
from geodes_lab.planning.plan import plan as planned
from geodes_lab.products import open_product

_TITLE = 100  # characters


def search(asked: Mapping[str, Any], limit: int) -> str:
    """Answer with a row for each product."""
    if not 1 <= limit <= ROWS:
        raise GeodesError(f"limit is 1 to {ROWS}, not {limit}: narrow the search to see what is further on.")
    items = Selection(**asked).items(limit + 1)
    if not items:
        return "0 products: widen the dates, the bbox (west, south, east, north) or the cloud cover."
    rows = [f"{line}  {_box(item)}".rstrip() for line, item in zip(Items(items).lines(), items, strict=True)]
    more = ["… and more: narrow the search, or raise limit."] if len(items) > limit else []
    head = "acquired (UTC)  platform  tile or orbit  clouds  name  bbox"
    return "\n".join(
        [f"{_several(min(len(items), limit), 'product')}{' of more' if more else ''}", head, *rows[:limit], *more]
    )


def _box(item: pystac.Item) -> str:
    box = [v for v in item.bbox or [] if isinstance(v, (int, float))]
    return f"[{', '.join(f'{v:.4g}' for v in box)}]" if len(box) in (4, 6) else ""


def collections(name: str | None, profile: str | None) -> str:
    """Answer with a row for each collection, or with all that is known of one."""
    table = catalog.collections(profile=profile)
    if name is not None:
        if name not in table.index:
            raise GeodesError(f"There is no collection {shown(name)[:100]!r}{nearest(name, table.index) or '.'}")
        return "\n".join([f"collection: {name}", *(f"{k}: {_cell(v)}" for k, v in table.loc[name].items())])
    rows = [
        "  ".join([str(i)[:_TITLE], _span(r), _count(r["count"]), _cell(r["format"]), _cell(r["title"])[:_TITLE]])
        for i, r in table.iterrows()
    ]
    return "\n".join(
        [f"{_several(len(rows), 'collection')}: name, acquired from … to, products, format, title", *map(shown, rows)]
    )


def _span(row: Any) -> str:
    first, last = (f"{row[k]:%Y-%m-%d}" if not pd.isna(row[k]) else "?" for k in ("start", "end"))
    return f"{first} … {last}"


def _count(number: Any) -> str:
    return "? products" if pd.isna(number) else _several(int(number), "product")


def _several(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _cell(value: Any) -> str:
    return "?" if value is None or value is pd.NaT or value is pd.NA or value == "" else str(value)


def opened(asked: Mapping[str, Any], cube: Mapping[str, Any]) -> str:
    """Answer with what a product contains, or a cube if bands are asked for."""
    products = Selection(**asked).products()
    if cube.get("bands"):
        return description.of_dataset(open_cube(products, **cube))
    if others := [k for k, v in cube.items() if v is not None]:
        raise GeodesError(f"{', '.join(others)} goes with bands: say the bands of the cube, such as red and nir.")
    if len(products) > 1:
        raise GeodesError(f"These are {len(products)} products: name one of them, or say the bands of a cube.")
    return description.of_tree(open_product(products[0]))


def plan(asked: Mapping[str, Any], cube: Mapping[str, Any]) -> str:
    """Answer with what a cube would cost."""
    products = Selection(**asked).products()
    data = open_cube(products, **cube)
    sizes = ", ".join(f"{name} {size}" for name, size in next(iter(data.data_vars.values())).sizes.items())
    return f"cube: {', '.join(map(str, data.data_vars))}; {sizes}\n{planned(data)}"
