"""A limit for each user over all of their clusters.

Dask-gateway limits only each cluster, and users have created thousands of pods in this way.

If there are usage accounts (``rights_url``), they say how much a person may have, by the groups of the operator's file,
and whether the month's quota is used up; without them, or if they do not answer, one limit applies to everybody.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout
from dask_gateway_server.traitlets import MemoryLimit
from traitlets import Float, Integer, Unicode
from traitlets.config import Configurable

_GROUPS = "groups"
"""The volume of the groups' folders, as in ``hub/servers/group_mounts.py``, which this file is not beside."""


def capped(backend: type) -> type:
    """Return a backend of dask-gateway that applies the limits.

    Its settings are ``user_max_clusters``, ``user_max_cores`` and ``user_max_memory``.
    """
    return type(
        f"Capped{backend.__name__}", (_Caps, backend), {"__doc__": f"{backend.__name__} with a cap for each user."}
    )


@dataclass(frozen=True)
class Cap:
    """The limits of a user, all clusters together; None: no limit."""

    clusters: int
    cores: float | None
    memory: int | None
    mounts: tuple[dict[str, Any], ...] = ()
    """On Kubernetes: what workers mount of the volume of the groups, as the user's own server does."""


class _Caps(Configurable):
    """The methods that extend a backend."""

    user_max_clusters = Integer(2, min=1, help="Clusters of a user at once.", config=True)
    user_max_cores = Float(None, allow_none=True, min=0.0, help="Cores of all clusters of a user.", config=True)
    user_max_memory = MemoryLimit(None, allow_none=True, help="Memory of all clusters of a user.", config=True)
    rights_url = Unicode(
        help="The accounts of use, which say what each user may have; nothing said: all the same.", config=True
    )

    async def start_cluster(self, user: Any, cluster_options: dict[str, Any]) -> str:
        """Start a cluster, unless the user has reached the limit."""
        if not hasattr(self, "_one_by_one"):
            self._one_by_one = asyncio.Lock()  # two simultaneous requests must not both take the remaining share
        async with self._one_by_one:
            name: str = await super().start_cluster(user, cluster_options)  # type: ignore[misc]
            return name

    async def process_cluster_options(self, user: Any, request: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        """Give a cluster its share of the user's limit."""
        from dask_gateway_server.backends.base import PublicException

        cap = await self._cap(user)
        options, config = await super().process_cluster_options(user, request)  # type: ignore[misc]
        mine = await self.list_clusters(username=user.name)  # type: ignore[attr-defined]
        if len(mine) >= cap.clusters:
            raise PublicException(
                f"the limit is {cap.clusters} clusters at once, and you have "
                f"{', '.join(c.name for c in mine) or 'none'}"
            )
        # Each cluster has its share, so that all together stay within the limit however they grow.
        for name, most in (("cluster_max_cores", cap.cores), ("cluster_max_memory", cap.memory)):
            if most is not None:
                share, own = type(most)(most / cap.clusters), getattr(config, name)
                setattr(config, name, share if own is None else min(own, share))
        _mount(config, cap.mounts)
        return options, config

    async def _cap(self, user: Any) -> Cap:
        """Return the user's limit."""
        from dask_gateway_server.backends.base import PublicException

        everybodys = Cap(self.user_max_clusters, self.user_max_cores, self.user_max_memory)
        if not self.rights_url:
            return everybodys
        params = [("group", group) for group in sorted(user.groups)]
        head = {"Authorization": f"token {os.environ.get('JUPYTERHUB_API_TOKEN', '')}"}
        try:
            async with (
                ClientSession(timeout=ClientTimeout(total=5)) as client,
                client.get(f"{self.rights_url}/api/limits/{user.name}", params=params, headers=head) as answer,
            ):
                answer.raise_for_status()
                limits = await answer.json()
        except (ClientError, OSError, ValueError, TimeoutError) as error:
            self.log.warning(  # type: ignore[attr-defined]
                "The usage service does not answer (%s): the general limits apply to %s.", error, user.name
            )
            return everybodys
        if not limits["allowed"]:
            raise PublicException(limits["reason"])
        dask = limits["dask"]
        return Cap(int(dask["clusters"]), float(dask["cores"]), int(dask["memory"]), tuple(limits.get("mounts") or ()))


def _mount(config: Any, mounts: tuple[dict[str, Any], ...]) -> None:
    """Give workers the folders of the user's groups; without any, they do not have the volume."""
    pod, container = (getattr(config, f"worker_extra_{part}_config", {}) for part in ("pod", "container"))
    volumes = pod.get("volumes", [])
    others = [volume for volume in volumes if volume.get("name") != _GROUPS]
    if len(others) == len(volumes):  # the chart's values have none, or this is no Kubernetes
        return
    if mounts:
        container = {**container, "volumeMounts": [*container.get("volumeMounts", []), *mounts]}
        config.worker_extra_container_config = container
    else:
        config.worker_extra_pod_config = {**pod, "volumes": others}
