"""A node of so many cores and so much memory, with the scheduler: pods wait for claims and room, run, and go.

What a pod's container is asked to do is done by `run`, if there is one: a process, for instance. Without it a pod is up at once and does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.support.chart.kubernetes.store import Key, Object, Store, now
from tests.support.chart.quantities import quantity

Run = Callable[[Object], Awaitable[int]]
"""What a pod does, until it ends: the exit code. It is cancelled where the pod is deleted."""


@dataclass
class Node:
    """One.

    Parameters
    ----------
    store
        The objects.
    holds
        Its cpu, memory, and what else it has, such as nvidia.com/gpu.
    labels
        By which pods choose it.
    run
        What containers do.
    """

    store: Store
    holds: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    run: Run | None = None
    address: str = "127.0.0.1"
    _running: dict[Key, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store.listeners.append(self._changed)

    def _changed(self, event: str, key: Key, obj: Object) -> None:
        loop = asyncio.get_running_loop()
        if key[0] == "pods" and event == "DELETED":
            if task := self._running.pop(key, None):
                task.cancel()
        elif key[0] == "pods" and obj["metadata"].get("deletionTimestamp"):
            loop.call_soon(self._leave, key, obj["metadata"]["uid"])
        if (key[0] == "pods" and event != "MODIFIED") or key[0] == "persistentvolumeclaims":
            loop.call_soon(self._schedule)

    def _leave(self, key: Key, uid: str) -> None:
        if self.store.has(key) and self.store.get(key)["metadata"]["uid"] == uid:
            self.store.remove(key)

    def _schedule(self) -> None:
        for pod in self.store.list("pods", ""):
            key = ("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
            if pod["spec"].get("nodeName") or pod["metadata"].get("deletionTimestamp"):
                continue
            if why := self._hindrance(pod, key[1]):
                if why not in [
                    e["message"]
                    for e in self.store.list("events", "")
                    if e["involvedObject"]["uid"] == pod["metadata"]["uid"]
                ]:
                    self._tell(pod, "Warning", "FailedScheduling", why)
                continue
            self.store.update(key, lambda p: p["spec"].update(nodeName="node-1"))
            self._tell(pod, "Normal", "Scheduled", f"Successfully assigned {key[1]}/{key[2]} to node-1")
            self._running[key] = asyncio.get_running_loop().create_task(self._live(key, pod))

    def _hindrance(self, pod: Object, namespace: str) -> str:
        for volume in pod["spec"].get("volumes") or []:
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim and not self.store.has(("persistentvolumeclaims", namespace, claim)):
                return f'0/1 nodes are available: persistentvolumeclaim "{claim}" not found.'
        terms = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
            "requiredDuringSchedulingIgnoredDuringExecution", {}
        )
        for term in terms.get("nodeSelectorTerms") or []:
            for wanted in term.get("matchExpressions") or []:
                if self.labels.get(wanted["key"]) not in wanted["values"]:
                    return "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
        taken: dict[str, Decimal] = {}
        for other in self.store.list("pods", ""):
            if other["spec"].get("nodeName"):
                _add(taken, other)
        mine: dict[str, Decimal] = {}
        _add(mine, pod)
        short = [n for n, v in mine.items() if taken.get(n, Decimal(0)) + v > quantity(self.holds.get(n, "0"))]
        return f"0/1 nodes are available: {', '.join(f'1 Insufficient {n}' for n in sorted(short))}." if short else ""

    async def _live(self, key: Key, pod: Object) -> None:
        self._tell(
            pod,
            "Normal",
            "Pulled",
            f'Container image "{pod["spec"]["containers"][0]["image"]}" already present on machine',
        )
        self._status(key, "Running", {"running": {"startedAt": now()}}, ready=True)
        if self.run is None:
            return
        with contextlib.suppress(asyncio.CancelledError):
            code = await self.run(pod)
            self.ended(key, code)

    def ended(self, key: Key, code: int, reason: str = "") -> None:
        """The container has ended by itself, or was killed for memory, or its pod was evicted."""
        told = {"terminated": {"exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error")}}
        self._status(key, "Succeeded" if code == 0 else "Failed", told, ready=False)

    def _status(self, key: Key, phase: str, state: Object, *, ready: bool) -> None:
        def change(pod: Object) -> None:
            statuses = [
                {
                    "name": c["name"],
                    "ready": ready,
                    "state": state,
                    "image": c["image"],
                    "imageID": "",
                    "restartCount": 0,
                }
                for c in pod["spec"]["containers"]
            ]
            pod["status"] |= {"phase": phase, "podIP": self.address, "containerStatuses": statuses}

        if self.store.has(key):
            self.store.update(key, change)

    def _tell(self, pod: Object, kind: str, reason: str, message: str) -> None:
        meta = pod["metadata"]
        about = {
            "kind": "Pod",
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
            "apiVersion": "v1",
        }
        event: dict[str, Any] = {
            "kind": "Event", "apiVersion": "v1", "metadata": {"generateName": f"{meta['name']}."}, "involvedObject": about,
            "type": kind, "reason": reason, "message": message, "firstTimestamp": now(), "lastTimestamp": now(), "eventTime": None, "count": 1,
        }  # fmt: skip
        self.store.create("events", meta["namespace"], event)


def _add(sums: dict[str, Decimal], pod: Object) -> None:
    for container in pod["spec"]["containers"]:
        for name, value in ((container.get("resources") or {}).get("requests") or {}).items():
            sums[name] = sums.get(name, Decimal(0)) + quantity(value)
