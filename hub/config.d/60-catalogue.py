"""The catalogue: a STAC API and its page, beside the hub."""

import sys
from pathlib import Path

from hub.installation import installation
from hub.services.registration import Needs, add, address, keeps

c = get_config()  # noqa: F821

here = installation()
sample, told = here.sample, here.lab.catalogue
modules = Path(sys.prefix) / "proxy" / "node_modules"
# A folder for each version of the sample: what was taken from another one is not mixed with it.
own = keeps(here, "catalogue")
folder = told.folder or str(own / "catalogue" / (sample.name if sample else "harvested"))
static = told.static or (str(sample / "catalog" / "catalog.json") if sample else "")
gated = here.lab.datalake.gate
mirror = "" if gated else str(sample / "datalake") if sample else here.lab.datalake.folder
gate = address("data").partition("/services/")[0] if gated else ""

add(
    c,
    "catalogue",
    arguments=[
        folder,
        str(own / "results"),
        *(["--static", static] if static else []),
        "--assets",
        str(modules),
    ],
    # Before a gate quicklooks are read through it, as the person who asks; else the datalake is open to all.
    environment={"GEODES_LAB_GATE": gate, **({"DASK_GEODES_LAB__DATALAKE__MIRROR": mirror} if mirror else {})},
    acts_at=("data",) if gated else (),
    # It tells who asks, and of which groups that person is.
    scopes=["read:users:name", "read:users:groups"],
    display=True,
    for_servers=True,
    needs=Needs(
        reads=tuple(p for p in (told.folder, static and str(Path(static).parent), mirror) if p),
        former=("catalogue", "results"),
    ),
)
ours = {"KIND": "stac", "URL": f"{address('catalogue')}/stac", "TOKEN": "JUPYTERHUB_API_TOKEN"}
c.Spawner.environment.update({f"DASK_GEODES_LAB__CATALOG__PROFILES__LAB__{k}": v for k, v in ours.items()})
c.Spawner.environment.update({"DASK_GEODES_LAB__PLOT__LAND": str(modules / "world-atlas" / "countries-110m.json")})
if sample:
    c.Spawner.environment.update(
        {"DASK_GEODES_LAB__CATALOG__PROFILES__LOCAL__URL": str(sample / "catalog" / "catalog.json")}
    )
else:  # what the notebooks call local is the lab's own catalogue
    c.Spawner.environment.update({f"DASK_GEODES_LAB__CATALOG__PROFILES__LOCAL__{k}": v for k, v in ours.items()})
    c.Spawner.environment.update({"DASK_GEODES_LAB__CATALOG__PROFILE": "lab"})
