"""Who may enter: the one person who started the lab, by the link that it printed."""

import getpass
import os
from pathlib import Path

c = get_config()  # noqa: F821

c.JupyterHub.authenticator_class = "login.OneTimeLink"
c.OneTimeLink.user = getpass.getuser()
c.OneTimeLink.secret_file = str(Path(os.environ["GEODES_LAB_STATE"]) / "login_secret")
c.OneTimeLink.allowed_users = {getpass.getuser()}
