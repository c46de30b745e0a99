"""Who may log in: the person who started the lab, with the link that it printed.

Or the people of a provider, according to their groups.
"""

import jupyterhub

from hub.installation import installation
from hub.login.link import owner
from hub.services.registration import OPERATOR, roles

c = get_config()  # noqa: F821

here = installation()
lab = here.lab

if lab.login.oidc is None:
    c.JupyterHub.authenticator_class = "hub.login.link.OneTimeLink"
    c.OneTimeLink.user = owner()
    c.OneTimeLink.secret_file = str(here.state / "login_secret")
    c.OneTimeLink.allowed_users = {owner()}
else:
    oidc = lab.login.oidc
    c.JupyterHub.authenticator_class = "hub.login.oidc.Oidc"
    c.Oidc.settings_file = str(here.file)
    c.Oidc.login_service = oidc.title
    c.Oidc.client_id = oidc.client_id
    c.Oidc.client_secret = here.secret("client_secret")
    c.Oidc.oauth_callback_url = f"{here.address}/hub/oauth_callback"
    c.Oidc.after_logout = f"{here.address}/hub/logged-out"
    c.Oidc.scope = list(oidc.scopes)
    c.Oidc.username_claim = oidc.claims.name
    c.Oidc.enable_pkce = c.Oidc.validate_server_cert = True
    c.Oidc.auto_login = True
    c.Oidc.basic_auth = oidc.basic_auth
    c.Oidc.http_request_kwargs = {"ca_certs": oidc.authority} if oidc.authority else {}
    # Only the provider's groups decide: neither a list of names nor an earlier login admits anybody.
    c.Oidc.allow_all = c.Oidc.allow_existing_users = False
    c.Oidc.manage_groups = True
    c.Oidc.allowed_groups = {name for name, g in lab.groups.items() if g.enter or g.admin}
    c.Oidc.enable_auth_state = True
    c.Oidc.auth_refresh_age = int(oidc.refresh)
    c.Oidc.refresh_pre_spawn = True
    if jupyterhub.version_info >= (6, 1):  # earlier versions always did so
        c.Oidc.auth_refresh_strict = True
    # The first key encrypts, the others only decrypt old values.
    c.CryptKeeper.keys = here.secret("crypt_keys", make=not here.on_kubernetes).split()
    admins = [name for name, g in lab.groups.items() if g.admin]
    # JupyterHub's own role `admin` can enter everybody's server and create tokens for everybody, whatever
    # `admin_access` says, and cannot be restricted: an operator of the lab has this role instead. Without `admin-ui`:
    # the lab has a page of its own for operators (hub/services/operators).
    roles(c).append(
        {
            "name": OPERATOR,
            "description": "Sees users and running servers; starts and stops servers; cannot enter them.",
            "scopes": [
                "list:users",
                "read:users",
                "servers",
                "list:groups",
                "read:groups",
                "list:services",
                "read:services",
                "read:hub",
                "read:metrics",
            ],
            "groups": admins,
        }
    )
