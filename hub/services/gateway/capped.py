"""A cap for each user over all of their clusters: dask-gateway has one for each cluster only, and users have made thousands of pods so."""

from __future__ import annotations

import asyncio
from typing import Any

from dask_gateway_server.traitlets import MemoryLimit
from traitlets import Float, Integer
from traitlets.config import Configurable


def capped(backend: type) -> type:
    """Make a backend of dask-gateway that keeps the caps; its settings are ``user_max_clusters``, ``user_max_cores`` and ``user_max_memory``."""
    return type(
        f"Capped{backend.__name__}", (_Caps, backend), {"__doc__": f"{backend.__name__} with a cap for each user."}
    )


class _Caps(Configurable):
    """What is put before a backend."""

    user_max_clusters = Integer(2, min=1, help="Clusters of a user at once.", config=True)
    user_max_cores = Float(None, allow_none=True, min=0.0, help="Cores of all clusters of a user.", config=True)
    user_max_memory = MemoryLimit(None, allow_none=True, help="Memory of all clusters of a user.", config=True)

    async def start_cluster(self, user: Any, cluster_options: dict[str, Any]) -> str:
        """Start one, unless the user has as many as a user may."""
        if not hasattr(self, "_one_by_one"):
            self._one_by_one = asyncio.Lock()  # two requests at once must not both take what is left
        async with self._one_by_one:
            name: str = await super().start_cluster(user, cluster_options)  # type: ignore[misc]
            return name

    async def process_cluster_options(self, user: Any, request: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        """Let a cluster have its share of what the user may have."""
        from dask_gateway_server.backends.base import PublicException

        options, config = await super().process_cluster_options(user, request)  # type: ignore[misc]
        mine = await self.list_clusters(username=user.name)  # type: ignore[attr-defined]
        if len(mine) >= self.user_max_clusters:
            raise PublicException(
                f"the limit is {self.user_max_clusters} clusters at once, and you have {', '.join(c.name for c in mine)}"
            )
        # Each has its share, so that all together stay within the cap whatever they grow to.
        for name, most in (("cluster_max_cores", self.user_max_cores), ("cluster_max_memory", self.user_max_memory)):
            if most is not None:
                share, own = type(most)(most / self.user_max_clusters), getattr(config, name)
                setattr(config, name, share if own is None else min(own, share))
        return options, config
