"""What the hub tells the accounts of use, and people's servers of them."""

from __future__ import annotations

from pathlib import Path

from hub.installation import Installation
from hub.services.declared import Extra, Needs
from hub.services.registration import address


def extra(here: Installation) -> Extra:
    """See `hub.services.declared.Extra`."""
    token = here.lab.usage.metrics_token_file
    # Of the folder of secrets it is brought to the service; another file the service must be able to read itself.
    aside = bool(token) and Path(token).parent != Path(here.lab.secrets or here.state / "secrets")
    servers: dict[str, object] = {
        "GEODES_LAB_USAGE": address("usage")
    }  # gl.attach asks there whether a cluster may start
    if here.on_kubernetes:  # each home is a volume of its own, which servers report themselves; else `measure` looks
        servers["GEODES_LAB_STORAGE"] = f"{address('usage')}/api/storage"
    return Extra(
        needs=Needs(
            secrets=(Path(token).name,) if token and not aside else (),
            reads=(token,) if aside else (),
            former=("usage.sqlite", "usage.sqlite-wal", "usage.sqlite-shm"),
        ),
        servers=servers,
    )
