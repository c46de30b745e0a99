"""The objects of a cluster, their versions, and what happened to them in its order."""

from __future__ import annotations

import asyncio
import copy
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str, str]
"""Resource (`pods`, `daskclusters.gateway.dask.org`), namespace, name."""


class Refusal(Exception):
    """An answer that is no success, as Kubernetes words it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status: Object = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code,
        }  # fmt: skip


def now() -> str:
    """This moment, as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """Objects; all of it runs in one event loop."""

    def __init__(self) -> None:
        self._objects: dict[Key, Object] = {}
        self._version = 100
        self._history: list[tuple[int, str, Key, Object]] = []
        self._oldest = 0
        self._changed = asyncio.Event()
        self.listeners: list[Callable[[str, Key, Object], None]] = []
        """Called with each change: ADDED, MODIFIED or DELETED, whose, and the object."""

    @property
    def version(self) -> str:
        """Of the whole."""
        return str(self._version)

    def get(self, key: Key) -> Object:
        """One.

        Raises
        ------
        Refusal
            If it is not there.
        """
        if key not in self._objects:
            raise Refusal(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        return copy.deepcopy(self._objects[key])

    def has(self, key: Key) -> bool:
        """Whether it is there."""
        return key in self._objects

    def list(self, resource: str, namespace: str) -> list[Object]:
        """All of a kind, of one namespace or, if that is empty, of all."""
        chosen = [o for (r, n, _), o in self._objects.items() if r == resource and namespace in ("", n)]
        return copy.deepcopy(chosen)

    def create(self, resource: str, namespace: str, obj: Object) -> Object:
        """Put a new one.

        Raises
        ------
        Refusal
            If there is one of its name.
        """
        obj = copy.deepcopy(obj)
        meta = obj.setdefault("metadata", {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + secrets.token_hex(3)[:5]
        key = (resource, namespace, meta["name"])
        if key in self._objects:
            raise Refusal(409, "AlreadyExists", f'{resource} "{meta["name"]}" already exists')
        meta |= {"namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
        return self._put("ADDED", key, obj)

    def update(self, key: Key, change: Callable[[Object], None]) -> Object:
        """Change one in place; a version that the change wrote into it must be the one it has."""
        obj = self.get(key)
        held = obj["metadata"]["resourceVersion"]
        change(obj)
        if obj["metadata"].get("resourceVersion", held) != held:
            raise Refusal(
                409, "Conflict", f'Operation cannot be fulfilled on {key[0]} "{key[2]}": the object has been modified'
            )
        return self._put("MODIFIED", key, obj)

    def remove(self, key: Key) -> Object:
        """Take one away, and what it owns."""
        obj = self.get(key)
        del self._objects[key]
        self._put("DELETED", key, obj)
        uid = obj["metadata"]["uid"]
        for other, owned in list(self._objects.items()):
            if uid in [o["uid"] for o in owned["metadata"].get("ownerReferences") or []] and other in self._objects:
                self.remove(other)
        return obj

    def forget_history(self) -> None:
        """What happened so far can no longer be asked for: watches from there are told 410."""
        self._oldest, self._history = self._version, []

    async def watch(
        self, resource: str, namespace: str, since: int, seconds: float
    ) -> AsyncIterator[tuple[str, Object]]:
        """What happens after a version, for so long.

        Raises
        ------
        Refusal
            If that version is too old.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            if since < self._oldest:
                raise Refusal(410, "Expired", f"too old resource version: {since} ({self._oldest})")
            # What comes while these are sent is looked for afterwards.
            until, changed = self._version, self._changed
            for version, event, (kind, where, _), obj in self._history[:]:
                if version > since and kind == resource and namespace in ("", where):
                    yield event, obj
            since = until
            try:
                await asyncio.wait_for(changed.wait(), deadline - loop.time())
            except TimeoutError:
                return

    def _put(self, event: str, key: Key, obj: Object) -> Object:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        if event != "DELETED":
            self._objects[key] = obj
        shown = json.loads(json.dumps(obj))
        self._history.append((self._version, event, key, shown))
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()
        for listener in self.listeners:
            listener(event, key, copy.deepcopy(shown))
        return shown
