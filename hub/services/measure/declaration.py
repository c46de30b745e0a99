"""What the hub tells the service that measures the homes."""

from __future__ import annotations

from hub.installation import Installation
from hub.services.declared import Extra, Needs


def extra(here: Installation) -> Extra | None:
    """See `hub.services.declared.Extra`."""
    if here.on_kubernetes:
        return None
    single = here.lab.servers.kind == "process"
    homes = here.state / "home" if single else here.homes
    return Extra(
        environment={"GEODES_LAB_HOMES": str(homes), "GEODES_LAB_SINGLE": "1" if single else ""},
        # People close their homes to all others, this service included.
        needs=Needs(reads=(str(homes),), capability="dac_read_search"),
    )
