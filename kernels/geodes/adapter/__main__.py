"""Starts debugpy's adapter, which accepts programs of its own account alone.

``kernel.py`` makes debugpy start this instead.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]

import debugpy.adapter  # noqa: E402
from debugpy.common import sockets  # noqa: E402

from geodes_lab.util import ownership  # noqa: E402


def own(ipv6: bool = False) -> ownership.OwnListener:
    family = ownership.socket.AF_INET6 if ipv6 else ownership.socket.AF_INET
    return ownership.OwnListener(family, ownership.socket.SOCK_STREAM)


sockets._new_sock = own
runpy.run_path(str(Path(debugpy.adapter.__file__).parent), run_name="__main__")
