"""The accounts of use: who reserves and reads how much; asked by the hub before a server starts."""

from beside import add, address, roles
from installation import installation

c = get_config()  # noqa: F821

here = installation()
homes = {
    "process": str(here.state / "home"),
    "accounts": f"{here.homes}/{{account}}",
    "systemd": f"{here.homes}/{{account}}",
    "kubernetes": "",  # each home is a volume of its own, which servers report themselves
}[here.lab.servers.kind]

add(
    c,
    "usage",
    environment={"GEODES_LAB_HOMES": homes},
    scopes=["list:users", "read:users:name", "read:users:groups", "read:users:activity", "read:servers"],
    display=True,
    for_servers=True,
)
# gl.attach asks there whether a cluster may start.
c.Spawner.environment.update({"GEODES_LAB_USAGE": address("usage")})
if here.on_kubernetes:
    c.Spawner.environment.update({"GEODES_LAB_STORAGE": f"{address('usage')}/api/storage"})
roles(c).append({"name": "spawn", "scopes": ["access:services!service=usage"], "services": ["spawn"]})
