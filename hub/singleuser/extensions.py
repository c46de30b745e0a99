"""Extensions that are installed for all, and loaded only by the common server of a group: jupyter-collaboration.

What JupyterLab loads is in ``labconfig`` beside this file, for a group's server in ``collaboration/labconfig``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir

_REST = 3600  # seconds
_SERVER = ("jupyter_server_ydoc", "jupyter_server_fileid")


def is_common() -> bool:
    """Whether this server is a group's, as the hub says (``hub/servers/collaboration.py``)."""
    return bool(os.environ.get("GEODES_LAB_COLLABORATION"))


def chosen(configuration: Any) -> dict[str, bool]:
    """Return the server's extensions, and whether this server loads them; what they write is among Jupyter's data."""
    if is_common():
        data = Path(jupyter_data_dir()) / "geodes-lab-collaboration"
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Each letter is a row, and the file is what counts: the rows of a document that rests become one.
        configuration.SQLiteYStore.squash_after_inactivity_of = _REST
        configuration.SQLiteYStore.db_path = str(data / "changes.db")
        configuration.YDocExtension.session_store_path = str(data / "sessions.json")
    return dict.fromkeys(_SERVER, is_common())


def _without_disabled(settings: dict[str, Any]) -> None:
    """Leave disabled extensions out of JupyterLab's page: it would load them, and then not use them."""
    before = settings.get("page_config_hook")

    def hook(handler: Any, page: dict[str, Any]) -> dict[str, Any]:
        page = before(handler, page) if before else page
        off = set(page.get("disabledExtensions", ()))
        return {**page, "federated_extensions": [e for e in page["federated_extensions"] if e["name"] not in off]}

    settings["page_config_hook"] = hook


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.extensions"}]


def _load_jupyter_server_extension(app: Any) -> None:
    app.io_loop.add_callback(_without_disabled, app.web_app.settings)  # after JupyterHub's own hook is there
