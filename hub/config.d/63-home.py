"""The first page of the lab, and the news: on the page, in JupyterLab, as a feed."""

from hub.installation import installation
from hub.services.registration import Needs, add, address

c = get_config()  # noqa: F821

add(
    c,
    "home",
    environment={"GEODES_LAB_USAGE": address("usage"), "GEODES_LAB_CULLER": address("culler")},
    scopes=[
        "read:users:name", "read:users:groups", "read:servers", "access:services!service=usage",
        "access:services!service=culler",
    ],
    display=True,
    needs=Needs(former=("news.json",)),
)  # fmt: skip
c.Spawner.environment.update({"GEODES_LAB_NEWS": f"{address('home')}/feed.atom"})
lab = installation().lab
if lab.login.oidc is not None:  # the one person of a local lab goes to the notebook at once
    c.JupyterHub.default_url = f"{lab.origin('home')}/services/home/"
