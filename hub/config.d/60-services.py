"""The services beside the hub (hub/services/services.yaml), and the settings for each in people's servers."""

from hub.front.face import Face
from hub.front.messages import Board
from hub.installation import installation
from hub.login.first import first
from hub.servers.spawning import TOKEN
from hub.services.declared import services
from hub.services.registration import address, register, roles

c = get_config()  # noqa: F821

here = installation()
for service in services().values():
    register(c, service)
# With this token the hub asks the usage accounts whether a person's quota is used up, and the culler for operators'
# messages.
access = [f"access:services!service={name}" for name in ("usage", "culler")]
roles(c).append({"name": "spawn", "scopes": access, "services": ["spawn"]})
lab = here.lab
board = Board(address("culler"), TOKEN)
# JupyterHub calls it with the person who looks at a page.
c.JupyterHub.template_vars = {**c.JupyterHub.get("template_vars", {}), "lab": lambda user: Face(lab, board, user)}
if lab.login.oidc is not None:  # the only user of a local lab goes to the notebook at once
    c.JupyterHub.default_url = first(f"{lab.origin('home')}/services/home/")
