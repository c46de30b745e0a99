"""The parts of an Item that a client asks for, and no others."""

from __future__ import annotations

from typing import Any

_ALWAYS = {"type", "stac_version", "id", "collection", "geometry", "bbox", "links", "assets", "properties.datetime"}


def chosen(item: dict[str, Any], included: set[str], excluded: set[str]) -> dict[str, Any]:
    """Leave in an Item what is asked for.

    Parameters
    ----------
    item
        As STAC has it.
    included, excluded
        Names such as ``assets`` or ``properties.eo:cloud_cover``. None included: all are, but those excluded. Some included:
        those, and what an Item cannot be without, but what is excluded.
    """
    if not included and not excluded:
        return item
    wanted = included | (_ALWAYS - excluded) if included else set()
    found = _some(item, {tuple(w.split(".")) for w in wanted}) if wanted else _copy(item)
    for path in (e.split(".") for e in excluded if e not in included):
        place: Any = found
        for step in path[:-1]:
            place = place.get(step, {}) if isinstance(place, dict) else {}
        if isinstance(place, dict):
            place.pop(path[-1], None)
    return {**found, "id": item["id"], "collection": item["collection"]}


def _some(place: dict[str, Any], paths: set[tuple[str, ...]]) -> dict[str, Any]:
    found = {}
    for key, value in place.items():
        below = {p[1:] for p in paths if p[0] == key}
        if () in below:
            found[key] = value
        elif below and isinstance(value, dict):
            found[key] = _some(value, below)
    return found


def _copy(place: Any) -> Any:
    return {k: _copy(v) for k, v in place.items()} if isinstance(place, dict) else place
