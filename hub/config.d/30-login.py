"""Who may enter: the one person who started the lab, by the link that it printed."""

import os
import pwd
from pathlib import Path

c = get_config()  # noqa: F821

try:
    user = pwd.getpwuid(os.getuid()).pw_name
except KeyError:  # a container may run as a number that no account has
    user = "me"

c.JupyterHub.authenticator_class = "login.OneTimeLink"
c.OneTimeLink.user = user
c.OneTimeLink.secret_file = str(Path(os.environ["GEODES_LAB_STATE"]) / "login_secret")
c.OneTimeLink.allowed_users = {user}
