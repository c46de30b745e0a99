"""The services beside the hub (hub/services/services.yaml), and the settings for each in people's servers."""

from hub.installation import installation
from hub.login.first import first
from hub.services.declared import services
from hub.services.registration import register, roles

c = get_config()  # noqa: F821

here = installation()
for service in services().values():
    register(c, service)
# With this token the hub asks the usage accounts whether a person's quota is used up.
roles(c).append({"name": "spawn", "scopes": ["access:services!service=usage"], "services": ["spawn"]})
lab = here.lab
if lab.login.oidc is not None:  # the only user of a local lab goes to the notebook at once
    c.JupyterHub.default_url = first(f"{lab.origin('home')}/services/home/")
