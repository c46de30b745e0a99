"""The hub's settings for the datalake's gate, and for people's servers that use it."""

from __future__ import annotations

from typing import Any

from hub.installation import Installation
from hub.services.declared import Extra, Needs
from hub.services.registration import address


def extra(here: Installation) -> Extra:
    """See `hub.services.declared.Extra`."""
    folder = here.lab.datalake.folder
    gate = address("data").partition("/services/")[0]

    def token(spawner: Any) -> str:
        return str(spawner.api_token)

    return Extra(
        needs=Needs(reads=(folder,) if folder else (), secrets=("datalake_key",)),
        # Servers read through it with their own token; they get no other settings of the datalake, because only the
        # gate distinguishes people.
        servers={
            "DASK_GEODES_LAB__DATALAKE__ENDPOINT": gate,
            "AWS_ENDPOINT_URL": gate,
            # S3's clients sign with these; only the session token counts, which is the server's own and ends with it.
            "AWS_ACCESS_KEY_ID": "lab",
            "AWS_SECRET_ACCESS_KEY": "lab",
            "AWS_SESSION_TOKEN": token,
        },
    )
