"""The size of a person's server among the options of its start, which the hub keeps with it.

The key is not `profile`: KubeSpawner takes that for a name of its own `profile_list`, which the lab does not have, and
refuses the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OPTION = "size"
_FORMER = "profile"  # of servers that were started before


def of_server(options: Mapping[str, Any] | None) -> Any:
    """The size that the options of a start name; nothing, if they name none."""
    options = options or {}
    return options.get(OPTION) or options.get(_FORMER) or ""
