"""What Kubernetes tells of pods that do not start: its warnings, which `helm test` repeats."""

from __future__ import annotations

import os
import ssl
from datetime import datetime
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod has its account of the cluster, if it has one."""
_MOST = 6


def warnings(since: datetime, account: Path = ACCOUNT, api: str = "") -> list[str]:
    """The warnings of this namespace since an instant, each object's last one, the newest first.

    Parameters
    ----------
    since
        With a time zone.
    account
        The folder with ``token``, ``namespace`` and ``ca.crt``.
    api
        The address of Kubernetes' API; nothing said: as pods are told it.

    Returns
    -------
    list of str
        Sentences; none where this is no pod that may ask, and one that says why if Kubernetes does not answer.
    """
    import httpx

    if not (account / "token").exists():
        return []
    api = api or f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ.get('KUBERNETES_SERVICE_PORT', '443')}"
    try:
        namespace = (account / "namespace").read_text().strip()
        answer = httpx.get(
            f"{api}/api/v1/namespaces/{namespace}/events",
            params={"fieldSelector": "type=Warning", "limit": "500"},
            headers={"Authorization": f"Bearer {(account / 'token').read_text().strip()}"},
            verify=ssl.create_default_context(cafile=account / "ca.crt") if api.startswith("https:") else True,
            timeout=10,
        )
        events = answer.raise_for_status().json()["items"]
    except (httpx.HTTPError, OSError, ValueError, KeyError) as error:
        return [f"Kubernetes did not return its events ({error})."]
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
