"""What Kubernetes tells of pods that do not start: its warnings, which `helm test` repeats."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from geodes_lab.errors import GeodesError
from geodes_lab.surroundings.kubernetes import Kubernetes

_MOST = 6


def warnings(since: datetime, kubernetes: Kubernetes | None = None) -> list[str]:
    """The warnings of this namespace since an instant, each object's last one, the newest first.

    Parameters
    ----------
    since
        With a time zone.
    kubernetes
        Its API; by default that of this pod, if it is one.

    Returns
    -------
    list of str
        Sentences; none where this is no pod that may ask, and one that says why if Kubernetes does not answer.
    """
    kubernetes = kubernetes or Kubernetes.of_pod()
    if kubernetes is None:
        return []
    try:
        path = "/api/v1/namespaces/{namespace}/events"
        events = kubernetes.items(path, fieldSelector="type=Warning", limit="500")
    except GeodesError as error:
        return [f"{error}."]
    latest: dict[str, tuple[datetime, str]] = {}
    for event in events:
        when, about = _when(event), event.get("involvedObject") or {}
        name = f"{about.get('kind', '')} {about.get('name', '')}"
        if when >= since and (name not in latest or latest[name][0] <= when):
            latest[name] = when, f"{name}: {event.get('reason', '')}: {event.get('message', '')}"
    return [sentence for _, sentence in sorted(latest.values(), reverse=True)[:_MOST]]


def _when(event: dict[str, Any]) -> datetime:
    series = event.get("series") or {}
    instant = (
        event.get("lastTimestamp")
        or series.get("lastObservedTime")
        or event.get("eventTime")
        or event["metadata"]["creationTimestamp"]
    )
    return datetime.fromisoformat(instant.replace("Z", "+00:00"))
