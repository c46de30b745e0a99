"""PodDisruptionBudgets: those that let no pod go, by which no node can be drained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.chart.netpol import matches

_REPLICATED = ("Deployment", "StatefulSet")


def holding(documents: tuple[dict[str, Any], ...]) -> Iterator[str]:
    """A sentence for each budget that lets none of its pods go."""
    for d in documents:
        if d["kind"] != "PodDisruptionBudget":
            continue
        budget, name = d["spec"], d["metadata"]["name"]
        pods = sum(
            m["spec"].get("replicas", 1)
            for m in documents
            if m["kind"] in _REPLICATED and matches(budget["selector"], m["spec"]["template"]["metadata"]["labels"])
        )
        assert pods or name == "user-placeholder", f"{name} is of no pods"
        assert ("minAvailable" in budget) != ("maxUnavailable" in budget), f"{name}: the API takes one of the two"
        free = budget["maxUnavailable"] if "maxUnavailable" in budget else pods - budget["minAvailable"]
        if pods and free < 1:
            yield f"{name} lets none of {pods} go"
