"""Where people's servers find the jobs."""

from __future__ import annotations

from hub.installation import Installation
from hub.services.declared import Extra
from hub.services.registration import address


def extra(here: Installation) -> Extra:
    """See `hub.services.declared.Extra`."""
    return Extra(servers={"DASK_GEODES_LAB__JOBS__SERVICE": address("jobs")})
