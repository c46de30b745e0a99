"""New access tokens for the users' servers, if people log in with an organisation's account."""

from hub.login.tokens import SCOPE, AccessToken
from hub.services.registration import allow, roles

c = get_config()  # noqa: F821

if "OneTimeLink" not in str(c.JupyterHub.authenticator_class):
    c.JupyterHub.extra_handlers = [(r"/api/geodes/token", AccessToken)]
    c.JupyterHub.custom_scopes = {SCOPE: {"description": "Get a fresh access token of one's own"}}
    roles(c)
    allow(c, "user", SCOPE)
    c.Spawner.server_token_scopes.append(SCOPE)
    # "hub": JupyterHub tells each server the hub's address.
    c.Spawner.environment.update({"DASK_GEODES_LAB__CREDENTIALS__TOKEN__URL": "hub"})
