"""The person's server: JupyterHub's own, without what only a hub needs of it.

``jupyterhub.log``, which each server imports, imports the hub's pages and its database: half a second of a core for
SQLAlchemy, Alembic and the hub's handlers, of which a server uses nothing. While it is imported, empty modules stand
in their place; whoever imports them later gets the real ones.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

_HERE = Path(__file__).resolve()
_IMPORTED = 15.0  # seconds after which all is imported that a start imports
# What jupyterhub.log, .metrics, .scopes, .roles and .utils want of them while they are imported.
_OF_THE_HUB: dict[str, dict[str, Any]] = {
    "sqlalchemy": {"func": None},
    "sqlalchemy.exc": {"SQLAlchemyError": type("SQLAlchemyError", (Exception,), {})},
    "jupyterhub.orm": {},
    "jupyterhub.handlers": {},
    "jupyterhub.handlers.pages": {"HealthCheckHandler": type("HealthCheckHandler", (), {})},
}


def import_without_the_hub() -> None:
    """Import ``jupyterhub.singleuser`` without the hub's database and pages.

    If another version of JupyterHub wants more of them, this process begins anew with JupyterHub's own command.
    """
    for name, holds in _OF_THE_HUB.items():
        sys.modules[name] = stand = ModuleType(name)
        stand.__dict__.update(holds)
        stand.__path__ = []
    try:
        import jupyterhub.singleuser  # noqa: F401
    except (ImportError, AttributeError, TypeError):
        os.execv(sys.executable, [sys.executable, "-m", "jupyterhub.singleuser", *sys.argv[1:]])
    for name in _OF_THE_HUB:
        sys.modules.pop(name, None)


def _look_again() -> None:
    gc.freeze()
    gc.enable()


def main() -> None:
    """Serve."""
    # It is started by its path: nothing beside it is imported by its bare name, and nothing of the home.
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != _HERE.parent]
    # What imports make stays: until they are done it is not looked through for what is no longer used.
    gc.disable()
    later = threading.Timer(_IMPORTED, _look_again)
    later.daemon = True
    later.start()
    import_without_the_hub()
    from jupyterhub import singleuser

    singleuser.main()


if __name__ == "__main__":
    main()
