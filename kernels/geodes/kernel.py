"""Starts the lab's kernel, closed to other accounts of the machine.

``python kernel.py -f CONNECTION_FILE``.

ipykernel opens a few loopback ports for itself, whatever its channels are: one for the output of forked processes, and,
while the debugger is on, those of debugpy, where any client may run code. The first becomes a socket in a private
folder, the others accept this account alone. The folder where the debugger writes cells is private too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

# Files beside this one are not modules for the user.
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]

from geodes_lab.environments import kernel as own_software  # noqa: E402
from geodes_lab.environments import waiting  # noqa: E402

own_software.enter()
try:
    import dask  # noqa: F401  (which startup.py needs)
    import zmq
    from ipykernel import compiler, debugger, kernelapp
    from ipykernel.iostream import IOPubThread
    from ipykernel.kernelbase import Kernel
    from zmq.eventloop.zmqstream import ZMQStream
except Exception as error:  # what people install may stand before what the kernel needs
    own_software.leave(error)

from geodes_lab.errors import GeodesError  # noqa: E402
from geodes_lab.util import ownership, user_folder  # noqa: E402


class PrivatePipe(IOPubThread):
    """ipykernel's own thread, whose pipe for forked processes is a socket in a private folder."""

    def _setup_pipe_in(self) -> None:
        self._pipe_uuid = os.urandom(16)
        try:
            place = user_folder.folder("kernels") / f"pipe-{os.getpid()}-{os.urandom(4).hex()}"
        except GeodesError:
            place = None
        if place is None or len(str(place)) > ownership.SOCKET_PATH:
            self._pipe_flag = False  # output of forked processes is not shown
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
    """Return where the debugger writes cells: a folder in ``/tmp`` could belong to somebody else."""
    return str(user_folder.folder("kernels") / f"cells-{os.getpid()}")


def close_debugger() -> None:
    """Let only this account connect to debugpy, and to what it starts."""
    try:
        from debugpy.common import sockets
        from debugpy.server import api
    except ImportError:
        return

    def own(ipv6: bool = False) -> ownership.OwnListener:
        family = ownership.socket.AF_INET6 if ipv6 else ownership.socket.AF_INET
        return ownership.OwnListener(family, ownership.socket.SOCK_STREAM)

    sockets._new_sock = own
    # debugpy starts the folder of this file: ours applies the same change, and then starts debugpy's own adapter.
    api.adapter = SimpleNamespace(__file__=str(Path(__file__).with_name("adapter") / "__init__.py"))


def tell_of_questions() -> None:
    """Tell all who listen that a cell asks by ``input()``, and when it has an answer.

    The question itself goes only to the window that ran the cell. If that is closed nobody hears it, and the cell waits
    for ever: hub/singleuser/kernels/recording.py says so to who opens the notebook again.
    """
    ask = Kernel._input_request

    def asked(self: Kernel, prompt: str, ident: object, parent: object, password: bool = False) -> str:
        def tell(kind: str, **content: object) -> None:
            self.session.send(self.iopub_socket, kind, content, parent=parent, ident=self._topic(kind))

        sys.stdout.flush()  # what was printed comes before the question
        tell("geodes_lab_asks", prompt=prompt)
        try:
            return ask(self, prompt, ident, parent, password)
        finally:
            tell("geodes_lab_has_asked")

    Kernel._input_request = asked


if __name__ == "__main__":
    if waiting.ARGUMENT in sys.argv:
        waiting.left = waiting.wait()
    tell_of_questions()
    kernelapp.IOPubThread = PrivatePipe
    compiler.get_tmp_directory = debugger.get_tmp_directory = cells
    close_debugger()
    kernelapp.launch_new_instance()
