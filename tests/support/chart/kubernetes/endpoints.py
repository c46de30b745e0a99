"""The addresses behind each Service: those of its pods that are ready."""

from __future__ import annotations

import asyncio

from tests.support.chart.kubernetes.store import Key, Object, Store


def keep(store: Store) -> None:
    """Write Endpoints for each Service, and keep them as its pods are."""

    def changed(event: str, key: Key, obj: Object) -> None:
        if key[0] in ("services", "pods"):
            asyncio.get_running_loop().call_soon(_all, store)

    store.listeners.append(changed)


def _all(store: Store) -> None:
    for service in store.list("services", ""):
        meta, wanted = service["metadata"], (service["spec"].get("selector") or {}).items()
        ready = [
            {"ip": pod["status"]["podIP"]}
            for pod in store.list("pods", meta["namespace"])
            if wanted <= (pod["metadata"].get("labels") or {}).items()
            and all(c["ready"] for c in pod["status"].get("containerStatuses") or [{"ready": False}])
        ]
        subsets = [{"addresses": ready, "ports": service["spec"]["ports"]}] if ready else []
        key = ("endpoints", meta["namespace"], meta["name"])
        if not store.has(key):
            kept = {"kind": "Service", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
            about = {"name": meta["name"], "labels": meta.get("labels") or {}, "ownerReferences": [kept]}
            store.create("endpoints", meta["namespace"], {"metadata": about, "subsets": subsets})
        elif store.get(key).get("subsets") != subsets:
            store.update(key, lambda e, subsets=subsets: e.update(subsets=subsets))  # type: ignore[misc]
