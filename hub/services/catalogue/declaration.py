"""The hub's settings for the catalogue, and for people's servers that use it."""

from __future__ import annotations

import sys
from pathlib import Path

from hub.installation import Installation
from hub.services.declared import Extra, Needs
from hub.services.registration import address, keeps


def extra(here: Installation) -> Extra:
    """See `hub.services.declared.Extra`."""
    sample, settings = here.sample, here.lab.catalogue
    modules = Path(sys.prefix) / "proxy" / "node_modules"
    # A folder for each version of the sample, so that different versions are not mixed.
    own = keeps(here, "catalogue")
    folder = settings.folder or str(own / "catalogue" / (sample.name if sample else "harvested"))
    static = settings.static or (str(sample / "catalog" / "catalog.json") if sample else "")
    # With a gate, quicklooks are read through it, with the person's rights; otherwise the datalake is open to
    # everybody.
    mirror = "" if here.lab.datalake.gate else str(sample / "datalake") if sample else here.lab.datalake.folder
    authority = here.lab.mail.authority if here.lab.mail else ""
    profiles = "DASK_GEODES_LAB__CATALOG__PROFILES"
    ours = {"KIND": "stac", "URL": f"{address('catalogue')}/stac", "TOKEN": "JUPYTERHUB_API_TOKEN"}
    servers: dict[str, object] = {f"{profiles}__LAB__{k}": v for k, v in ours.items()}
    servers["DASK_GEODES_LAB__PLOT__LAND"] = str(modules / "world-atlas" / "countries-110m.json")
    if sample:
        servers[f"{profiles}__LOCAL__URL"] = str(sample / "catalog" / "catalog.json")
    else:  # the notebooks' profile "local" is the lab's own catalogue
        servers |= {f"{profiles}__LOCAL__{k}": v for k, v in ours.items()}
        servers["DASK_GEODES_LAB__CATALOG__PROFILE"] = "lab"
    return Extra(
        arguments=(folder, str(own / "results"), *(("--static", static) if static else ()), "--assets", str(modules)),
        environment={"DASK_GEODES_LAB__DATALAKE__MIRROR": mirror} if mirror else {},
        needs=Needs(
            reads=tuple(p for p in (settings.folder, static and str(Path(static).parent), mirror, authority) if p),
            secrets=("mail_password",) if here.lab.mail else (),
            former=("catalogue", "results"),
        ),
        servers=servers,
    )
