"""Keeps the outputs of cells whose window is not open: ``/geodes/missed``.

A kernel's messages reach only windows that are open, and only the window that ran a cell knows which cell they belong
to. So the server listens too: what a cell gave whose window was closed is shown by JupyterLab when the notebook is
opened again (``labextensions/geodes-lab-missed``), and goes on there while the cell runs. It is forgotten when a
window has saved it.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_client.session import Session
from jupyter_core.paths import jupyter_data_dir
from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import APIHandler
from jupyter_server.services.kernels.connection.base import deserialize_binary_message, deserialize_msg_from_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated

from hub.singleuser.kernels.executions import LARGEST, Execution

MOST = 2**26
"""Bytes of all outputs on the disk."""
_SETTING = "geodes_lab_recorder"
_SILENT = 5.0  # seconds
_CELLS = 200  # of a notebook
_log = logging.getLogger("geodes_lab.recording")


class Connection(ZMQChannelsWebsocketConnection):
    """A window's connection to a kernel, whose requests the recorder sees."""

    def connect(self) -> Any:
        """Connect; the recorder listens from then on."""
        if recorder := self._recorder():
            recorder.listen(self.kernel_id)
            recorder.is_back(self.kernel_id, self.session_key)
        return super().connect()

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Send a message to the kernel."""
        recorder = self._recorder()
        needle: Any = b"execute_request" if isinstance(incoming_msg, bytes) else "execute_request"
        if recorder and needle in incoming_msg:
            try:
                self._tell(recorder, incoming_msg)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                _log.debug("a request that is not understood: %s", error)
        super().handle_incoming_message(incoming_msg)

    def _recorder(self) -> Recorder | None:
        recorder: Recorder | None = self.websocket_handler.settings.get(_SETTING)
        return recorder

    def _tell(self, recorder: Recorder, text: Any) -> None:
        if self.subprotocol == "v1.kernel.websocket.jupyter.org":
            _, parts = deserialize_msg_from_ws_v1(text)
            header, _, metadata, content = (json.loads(part) for part in parts[:4])
        else:
            message = deserialize_binary_message(text) if isinstance(text, bytes) else json.loads(text)
            header, metadata, content = message["header"], message["metadata"], message["content"]
        # A notebook's cell: a console says no `deletedCells`.
        if header["msg_type"] == "execute_request" and "cellId" in metadata and "deletedCells" in metadata:
            recorder.begin(
                self.kernel_id,
                Execution(str(header["msg_id"]), str(metadata["cellId"]), str(content["code"]), self.session_key),
            )


class Recorder:
    """The executions of this server's kernels."""

    def __init__(self, app: Any, folder: Path) -> None:
        self._kernels, self._sessions, self._contents = app.kernel_manager, app.session_manager, app.contents_manager
        self._folder = folder
        self._of: dict[str, dict[str, Execution]] = {}  # by kernel and by cell, the oldest first
        self._streams: dict[str, Any] = {}
        self._paths: dict[str, str] = {}
        self._heard: dict[str, float] = {}  # when, by kernel

    def listen(self, kernel: str) -> None:
        """Listen to a kernel."""
        if kernel in self._streams or kernel not in self._kernels:
            return
        manager = self._kernels.get_kernel(kernel)
        session = Session(config=manager.session.config, key=manager.session.key)
        stream = self._streams[kernel] = manager.connect_iopub()

        def heard(parts: list[bytes]) -> None:
            _, rest = session.feed_identities(parts)
            self._hear(kernel, session.deserialize(rest))

        stream.on_recv(heard)

    def begin(self, kernel: str, execution: Execution) -> None:
        """Expect the outputs of a cell, in place of those that it gave before."""
        cells = self._of.setdefault(kernel, {})
        cells.pop(execution.cell, None)
        cells[execution.cell] = execution
        while len(cells) > _CELLS or sum(e.size for e in cells.values()) > 4 * LARGEST:
            del cells[next(iter(cells))]

    def is_back(self, kernel: str, session: str) -> None:
        """A window that had lost its connection has it again, and hears what it missed from Jupyter's own buffer."""
        for execution in self._of.get(kernel, {}).values():
            if execution.session == session:
                execution.is_attended = True

    async def missed(self, path: str) -> list[Execution]:
        """Return what no window has saved of a notebook's outputs."""
        kernel = await self._kernel(path)
        saved = await self._saved(path)
        cells = self._of.get(kernel, {})
        before = [e for e in self._kept(path) if e.cell not in cells]
        missed = [e for e in cells.values() if self._is_missed(kernel, e, saved)]
        for execution in missed:
            execution.say_what_it_waits_for()
        return [*before, *missed]

    async def forget(self, path: str, ids: set[str]) -> None:
        """Forget what a window has saved."""
        cells = self._of.get(await self._kernel(path), {})
        for cell in [e.cell for e in cells.values() if e.id in ids and e.finished]:
            del cells[cell]
        self._keep(path, [e for e in self._kept(path) if e.id not in ids])

    def stop(self) -> None:
        """The server ends, and its kernels with it."""
        for kernel in list(self._of):
            self._give_up(kernel)

    def _hear(self, kernel: str, message: dict[str, Any]) -> None:
        self._heard[kernel] = time.monotonic()
        kind, cells = message["header"]["msg_type"], self._of.get(kernel, {})
        if kind == "status" and message["content"]["execution_state"] == "starting":
            for execution in cells.values():
                execution.end()
        elif kind == "update_display_data":
            for execution in cells.values():
                execution.update(message["content"])
        parent = message.get("parent_header", {}).get("msg_id")
        for execution in [e for e in cells.values() if e.id == parent and e.finished is None]:
            execution.take(message)
            if execution.finished is not None:
                execution.is_attended = _is_open(execution)

    def _is_missed(self, kernel: str, execution: Execution, saved: float) -> bool:
        if _is_open(execution):
            return False  # another window has it
        if execution.finished is None:
            # An error of a cell before it may keep it from running; a kernel is idle for a moment between two cells.
            state = self._kernels.get_kernel(kernel).execution_state if kernel in self._kernels else "dead"
            silent = time.monotonic() - self._heard.get(kernel, 0.0) > _SILENT
            return execution.has_begun or not (state == "idle" and silent)
        return not execution.is_attended or execution.finished > saved

    async def _kernel(self, path: str) -> str:
        """Return the kernel of a notebook; what is known of kernels that are gone goes to the disk."""
        kernel = ""
        for session in await ensure_async(self._sessions.list_sessions()):
            if session["type"] == "notebook" and session["kernel"]:
                self._paths[session["kernel"]["id"]] = session["path"]
                kernel = session["kernel"]["id"] if session["path"] == path else kernel
        for kernel in [k for k in self._of if k not in self._kernels]:
            self._give_up(kernel)
        return kernel

    async def _saved(self, path: str) -> float:
        try:
            model = await ensure_async(self._contents.get(path, content=False))
        except HTTPError:
            return 0.0
        return float(model["last_modified"].timestamp())

    def _give_up(self, kernel: str) -> None:
        """Write what a kernel gave that was not seen; it is gone."""
        self._heard.pop(kernel, None)
        stream = self._streams.pop(kernel, None)
        if stream is not None and not stream.closed():
            stream.close()
        executions = [
            e for e in self._of.pop(kernel, {}).values() if e.has_begun and not e.is_attended and not _is_open(e)
        ]
        for execution in executions:
            execution.end()
        path = self._paths.pop(kernel, "")
        if path and executions:
            cells = {e.cell for e in executions}
            self._keep(path, [*(e for e in self._kept(path) if e.cell not in cells), *executions])

    def _file(self, path: str) -> Path:
        return self._folder / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.json"

    def _kept(self, path: str) -> Iterator[Execution]:
        try:
            records = json.loads(self._file(path).read_text())
        except (OSError, ValueError):
            return
        yield from (Execution.of(record) for record in records)

    def _keep(self, path: str, executions: list[Execution]) -> None:
        """Write them for the next server; the oldest files give way."""
        file = self._file(path)
        try:
            if not executions:
                file.unlink(missing_ok=True)
                return
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as written:
                json.dump([e.record() for e in executions], written)
            files = sorted(self._folder.glob("*.json"), key=lambda f: f.stat().st_mtime, reverse=True)
            total = 0
            for one in files:
                total += one.stat().st_size
                if total > MOST and one != file:
                    one.unlink()
        except OSError as error:
            _log.warning("Outputs that nobody saw cannot be kept: %s", error)


class Missed(APIHandler):
    """What windows of JupyterLab ask."""

    @property
    def recorder(self) -> Recorder:
        """The server's own."""
        recorder: Recorder = self.settings[_SETTING]
        return recorder

    @authenticated
    async def get(self) -> None:
        """Return what was missed; with ``since``, what has changed in what was returned before."""
        try:
            since = {str(k): int(v) for k, v in json.loads(self.get_argument("since", "{}")).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise HTTPError(400, "since is an object of versions.") from error
        executions = await self.recorder.missed(self.get_argument("path"))
        if since:
            executions = [e for e in executions if e.id in since]
        self.finish({"executions": [e.after(since.get(e.id, -1)) for e in executions]})

    @authenticated
    async def delete(self) -> None:
        """Forget what is saved."""
        await self.recorder.forget(self.get_argument("path"), set(self.get_arguments("id")))
        self.set_status(204)


def _is_open(execution: Execution) -> bool:
    return execution.session in ZMQChannelsWebsocketConnection._open_sessions


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.kernels.recording"}]


def _load_jupyter_server_extension(app: Any) -> None:
    recorder = Recorder(app, Path(jupyter_data_dir()) / "geodes-lab-missed")
    app.web_app.settings[_SETTING] = recorder
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "geodes/missed"), Missed)])
    atexit.register(recorder.stop)
