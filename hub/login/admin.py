"""JupyterHub's admin page is not used: its address leads to the lab's own page for operators.

JupyterHub's page offers to enter people's servers, which no operator of the lab may do, and to stop the hub.
"""

from __future__ import annotations

from jupyterhub.handlers import BaseHandler

from hub.installation import installation
from hub.services.pages import place


class ToOperators(BaseHandler):
    """``/hub/admin``."""

    def get(self) -> None:
        """Redirect; the page itself refuses who is no operator."""
        self.redirect(place(installation().lab, "services/operators/"))
