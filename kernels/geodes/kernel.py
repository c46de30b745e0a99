"""Starts the lab's kernel with every door closed to other accounts of the machine.

``python kernel.py -f CONNECTION_FILE``.

ipykernel opens a few ports of loopback for itself, whatever its channels are: one by which forked processes send what
they print, and, while the debugger is on, those of debugpy, where whoever connects may run code. The first becomes a
socket in a private folder, the others let in this account alone. So does the folder where the debugger writes cells.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

# What is beside this file is no module of the user's.
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]

import zmq  # noqa: E402
from ipykernel import compiler, debugger, kernelapp  # noqa: E402
from ipykernel.iostream import IOPubThread  # noqa: E402
from zmq.eventloop.zmqstream import ZMQStream  # noqa: E402

from geodes_lab.errors import GeodesError  # noqa: E402
from geodes_lab.util import ownership, user_folder  # noqa: E402


class PrivatePipe(IOPubThread):
    """ipykernel's own, whose pipe for forked processes is a socket in a private folder."""

    def _setup_pipe_in(self) -> None:
        self._pipe_uuid = os.urandom(16)
        try:
            place = user_folder.folder("kernels") / f"pipe-{os.getpid()}-{os.urandom(4).hex()}"
        except GeodesError:
            place = None
        if place is None or len(str(place)) > ownership.SOCKET_PATH:
            self._pipe_flag = False  # what forked processes print is not seen
            return
        pipe = self.socket.context.socket(zmq.PULL)
        pipe.linger = 0
        self._pipe_port = f"ipc://{place}"
        pipe.bind(self._pipe_port)
        self._pipe_in = ZMQStream(pipe, self.io_loop)
        self._pipe_in.on_recv(self._handle_pipe_msg)

    def _setup_pipe_out(self) -> tuple[zmq.Context, zmq.Socket]:
        context = zmq.Context()  # a new one after a fork
        pipe = context.socket(zmq.PUSH)
        pipe.linger = 3000
        pipe.connect(self._pipe_port)
        return context, pipe


def cells() -> str:
    """Where the debugger writes cells: a folder in ``/tmp`` could be somebody else's."""
    return str(user_folder.folder("kernels") / f"cells-{os.getpid()}")


def close_debugger() -> None:
    """Let this account alone reach debugpy, and what it starts."""
    try:
        from debugpy.common import sockets
        from debugpy.server import api
    except ImportError:
        return

    def own(ipv6: bool = False) -> ownership.OwnListener:
        family = ownership.socket.AF_INET6 if ipv6 else ownership.socket.AF_INET
        return ownership.OwnListener(family, ownership.socket.SOCK_STREAM)

    sockets._new_sock = own
    # It starts the folder that this lies in: ours does the same, and then starts its own.
    api.adapter = SimpleNamespace(__file__=str(Path(__file__).with_name("adapter") / "__init__.py"))


if __name__ == "__main__":
    kernelapp.IOPubThread = PrivatePipe
    compiler.get_tmp_directory = debugger.get_tmp_directory = cells
    close_debugger()
    kernelapp.launch_new_instance()
