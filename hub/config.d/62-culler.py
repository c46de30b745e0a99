"""Servers that nobody uses are stopped, and old ones; their people are told before and afterwards."""

from hub.services.registration import Needs, add, address

c = get_config()  # noqa: F821

add(
    c,
    "culler",
    scopes=[
        "list:users",
        "read:users:name",
        "read:users:activity",
        "read:servers",
        "delete:servers",
        "read:users:groups",
    ],
    for_servers=True,
    needs=Needs(former=("stops.json",)),
)
c.Spawner.environment.update({"GEODES_LAB_CULLER": address("culler")})
