"""Selectors of lists and watches, and the two kinds of patches."""

from __future__ import annotations

from typing import Any

from tests.support.chart.kubernetes.store import Object


def selected(obj: Object, query: Any) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for told in filter(None, (query.get("labelSelector") or "").split(",")):
        key, equal, value = told.partition("=")
        if (labels.get(key) != value.lstrip("=")) if equal else (key not in labels):
            return False
    for told in filter(None, (query.get("fieldSelector") or "").split(",")):
        key, _, value = told.partition("=")
        found: Any = obj
        for part in key.split("."):
            found = (found or {}).get(part)
        if found != value.lstrip("="):
            return False
    return True


def without_nulls(obj: Any) -> Any:
    """Fields that are null are not there, as in Kubernetes' own types."""
    if isinstance(obj, dict):
        return {k: without_nulls(v) for k, v in obj.items() if v is not None}
    return [without_nulls(v) for v in obj] if isinstance(obj, list) else obj


def merge(under: Object, over: Object) -> None:
    for key, value in over.items():
        if value is None:
            under.pop(key, None)
        elif isinstance(value, dict) and isinstance(under.get(key), dict):
            merge(under[key], value)
        else:
            under[key] = value


def apply(obj: Any, step: Object) -> None:
    *way, last = [p.replace("~1", "/").replace("~0", "~") for p in step["path"].split("/")[1:]]
    for part in way:
        obj = obj[int(part)] if isinstance(obj, list) else obj.setdefault(part, {})
    if step["op"] == "remove":
        obj.pop(int(last) if isinstance(obj, list) else last)
    elif isinstance(obj, list):
        obj.append(step["value"]) if last == "-" else obj.insert(int(last), step["value"])
    else:
        obj[last] = step["value"]
