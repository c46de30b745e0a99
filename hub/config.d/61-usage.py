"""The accounts of use: who reserves and reads how much; asked by the hub before a server starts. And what measures the homes for them."""

from pathlib import Path

from hub.installation import installation
from hub.services.registration import Needs, add, address, roles

c = get_config()  # noqa: F821

here = installation()
token = here.lab.usage.metrics_token_file
# Of the folder of secrets it is brought to the service; another file the service must be able to read itself.
aside = bool(token) and Path(token).parent != Path(here.lab.secrets or here.state / "secrets")
add(
    c,
    "usage",
    scopes=["list:users", "read:users:name", "read:users:groups", "read:users:activity", "read:servers"],
    display=True,
    for_servers=True,
    needs=Needs(
        secrets=(Path(token).name,) if token and not aside else (),
        reads=(token,) if aside else (),
        former=("usage.sqlite", "usage.sqlite-wal", "usage.sqlite-shm"),
    ),
)
# gl.attach asks there whether a cluster may start.
c.Spawner.environment.update({"GEODES_LAB_USAGE": address("usage")})
storage = f"{address('usage')}/api/storage"
if here.on_kubernetes:  # each home is a volume of its own, which servers report themselves
    c.Spawner.environment.update({"GEODES_LAB_STORAGE": storage})
else:
    single = here.lab.servers.kind == "process"
    homes = here.state / "home" if single else here.homes
    add(
        c,
        "measure",
        environment={
            "GEODES_LAB_STORAGE": storage,
            "GEODES_LAB_HOMES": str(homes),
            "GEODES_LAB_SINGLE": "1" if single else "",
        },
        scopes=["access:services!service=usage"],
        listens=False,
        # People close their homes to all others, this service included.
        needs=Needs(reads=(str(homes),), capability="dac_read_search"),
    )
roles(c).append({"name": "spawn", "scopes": ["access:services!service=usage"], "services": ["spawn"]})
