"""Whether assistants may be helped here, and with whose settings."""

from __future__ import annotations

import contextlib
import os
import sys

from geodes_lab.errors import GeodesError

WISH = "GEODES_LAB_ASSISTANT"
"""The variable by which the hub tells a server what the operator's file says: hidden, offered or forbidden."""
_OF_A_SERVER = "GEODES_LAB_ADDRESS"


def join_server() -> None:
    """Take the environment of the person's server, if an assistant has not passed it on.

    Many clients give the programs that they start only HOME, PATH and the like. Then the settings and keys are those of
    the nearest ancestor process which is the person's own and has them. No file holds them in between.
    """
    if _OF_A_SERVER in os.environ:
        return
    import psutil

    for process in psutil.Process().parents():
        with contextlib.suppress(psutil.Error, OSError):
            if process.uids().real != os.getuid():
                return
            variables = process.environ()
            if _OF_A_SERVER in variables:
                for name, value in variables.items():
                    os.environ.setdefault(name, value)
                break
    if "dask" in sys.modules:
        import dask.config

        dask.config.refresh()  # it reads the environment when it is imported


def check() -> None:
    """Refuse, if the operator does not want assistants.

    Raises
    ------
    GeodesError
        If the operator's file says so.
    """
    if os.environ.get(WISH) == "forbidden":
        raise GeodesError(
            "The operator of this lab does not allow assistants (assistant: forbidden in the operator's file), so "
            "`geodes-lab mcp` does not start: ask the operator."
        )
