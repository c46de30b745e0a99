"""Where people's servers find the jobs, and what a core-hour costs there; where the service finds the map's library."""

from __future__ import annotations

import sys
from pathlib import Path

from hub.installation import Installation
from hub.services.declared import Extra, Needs
from hub.services.registration import address


def extra(here: Installation) -> Extra:
    """See `hub.services.declared.Extra`."""
    prices = here.lab.prices
    servers: dict[str, object] = {"DASK_GEODES_LAB__JOBS__SERVICE": address("jobs")}
    if prices.currency:  # for gl.plan of a job
        servers["DASK_GEODES_LAB__JOBS__CORE_HOUR"] = str(prices.core_hour)
        servers["DASK_GEODES_LAB__JOBS__CURRENCY"] = prices.currency
    known, needs = here.lab.jobs.postgresql, Needs()
    if known is not None:
        needs = Needs(reads=(known.sslrootcert,) if known.sslrootcert else (), secrets=("jobs_database_password",))
    assets = ("--assets", str(Path(sys.prefix) / "proxy" / "node_modules"))
    return Extra(arguments=assets, needs=needs, servers=servers)
