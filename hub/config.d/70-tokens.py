"""Fresh access tokens for the users' servers, where people log in by an organisation's account."""

from tokens import SCOPE, AccessToken

c = get_config()  # noqa: F821

if "OneTimeLink" not in str(c.JupyterHub.authenticator_class):
    c.JupyterHub.extra_handlers = [(r"/api/geodes/token", AccessToken)]
    c.JupyterHub.custom_scopes = {SCOPE: {"description": "A fresh access token of one's own"}}
    roles = list(c.JupyterHub.get("load_roles", []))
    # The user role has it, so that the user's server may.
    user = next((r for r in roles if r["name"] == "user"), {"name": "user", "scopes": ["self"]})
    c.JupyterHub.load_roles = [r for r in roles if r["name"] != "user"] + [{**user, "scopes": [*user["scopes"], SCOPE]}]
    scopes = list(c.Spawner.get("server_token_scopes", [])) or ["users:activity!server", "access:servers!server"]
    c.Spawner.server_token_scopes = [*scopes, SCOPE]
    # "hub": where that is, JupyterHub tells each server.
    c.Spawner.environment.update({"DASK_GEODES_LAB__CREDENTIALS__TOKEN__URL": "hub"})
