"""The hub's settings for the tiles."""

from __future__ import annotations

from hub.installation import Installation
from hub.services.declared import Extra, Needs
from hub.services.registration import address


def extra(here: Installation) -> Extra:
    """See `hub.services.declared.Extra`."""
    sample = here.sample
    folder = here.lab.datalake.folder or (str(sample / "datalake") if sample else "")
    return Extra(
        environment={"GEODES_LAB_TILES_FOLDER": folder} if folder else {},
        needs=Needs(reads=(folder,) if folder else (), secrets=("datalake_key",)),
        servers={"DASK_GEODES_LAB__TILES__SERVICE": address("tiles")},
    )
