"""A person's own packages for the workers of a gateway, which do not see the home.

As keys are: the kernel sends them to its own scheduler, and workers ask the scheduler, over the cluster's TLS. So they
lie in no bucket, and no other cluster can ask for them. A worker has them before it takes a task; the scheduler too,
since it unpickles the graphs.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from dask.utils import parse_bytes
from distributed.diagnostics.plugin import SchedulerPlugin, WorkerPlugin

from geodes_lab import settings
from geodes_lab.cluster import progress_bar
from geodes_lab.environments import packing, unpacking
from geodes_lab.environments.overlay import Overlay
from geodes_lab.environments.packing import Contents
from geodes_lab.errors import GeodesError

TOPIC = "geodes-lab-software"
"""Under which a worker tells the kernel that it does not have what it should."""

_PART = 4 * 2**20  # bytes of a request
_MOST = 4 * 2**30  # bytes that a scheduler takes in any case


class Shelf(SchedulerPlugin):
    """Where packs lie for the workers; lives in the scheduler."""

    name = "geodes-lab-software-shelf"

    async def start(self, scheduler: Any) -> None:
        """Called when it comes to the scheduler."""
        self._folder: Path | None = None
        scheduler.handlers |= {
            "geodes_lab_software_put": self._put,
            "geodes_lab_software_get": self._get,
            "geodes_lab_software_use": self._use,
        }

    async def close(self) -> None:
        """Called when the scheduler ends."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _put(self, sha256: str, offset: int, data: bytes) -> str:
        """The kernel brings a part; give why it is not taken."""
        try:
            path = self._file(sha256)
            if offset + len(data) > _MOST:
                return "they are too large for the scheduler"
            with path.open("wb" if offset == 0 else "r+b") as file:
                file.seek(offset)
                file.write(data)
        except OSError as error:
            return f"the scheduler cannot keep them ({error.strerror})"
        return ""

    async def _get(self, sha256: str, offset: int) -> bytes:
        """A worker fetches a part."""
        with self._file(sha256).open("rb") as file:
            file.seek(offset)
            return file.read(_PART)

    async def _use(self, contents: dict[str, Any]) -> dict[str, Any]:
        """All is there: the scheduler uses it itself; give whether it can, and what is not as it should be."""
        wanted = Contents(**contents)
        try:
            packed = self._file(wanted.sha256)
            folder = await asyncio.to_thread(unpacking.unpack, packed, wanted, packed.parent)
        except GeodesError as error:
            return {"usable": False, "why": str(error)}
        return {"usable": True, "why": _in_use(unpacking.enter(folder, wanted))}

    def _file(self, sha256: str) -> Path:
        if len(sha256) != 64 or not sha256.isalnum():
            raise ValueError(sha256)
        if self._folder is None:  # where the scheduler cannot write, only those who have packages of their own read it
            self._folder = Path(tempfile.mkdtemp(prefix="geodes-lab-software-"))  # for this account alone
        return self._folder / f"{sha256}.zip"


class Unpacker(WorkerPlugin):
    """Fetches a pack and unpacks it, before the worker takes a task; lives in each worker.

    Parameters
    ----------
    contents
        Of the pack.
    """

    name = "geodes-lab-software"
    idempotent = False

    def __init__(self, contents: dict[str, Any]) -> None:
        self._contents = contents

    async def setup(self, worker: Any) -> None:
        """Called when it comes to the worker, or takes the place of an older one."""
        try:
            why, fatal = await self._bring(worker), False
        except GeodesError as error:
            why, fatal = str(error), True
        except Exception as error:  # whatever it is, the person reads of it: distributed would keep it to its log
            why, fatal = f"they cannot be fetched ({type(error).__name__})", True
        if why:
            worker.log_event(TOPIC, {"address": worker.address, "why": why, "fatal": fatal})

    async def _bring(self, worker: Any) -> str:
        wanted, folder = Contents(**self._contents), Path(worker.local_directory)
        packed = folder / f"{wanted.sha256}.zip"
        try:
            with packed.open("wb") as file:
                while file.tell() < wanted.size:
                    part = await worker.scheduler.geodes_lab_software_get(sha256=wanted.sha256, offset=file.tell())
                    if not part:
                        break
                    file.write(part)
            target = await asyncio.to_thread(unpacking.unpack, packed, wanted, folder)
        except OSError as error:
            raise GeodesError(f"they cannot be kept in {folder} ({error.strerror or type(error).__name__})") from error
        finally:
            packed.unlink(missing_ok=True)
        return _in_use(unpacking.enter(target, wanted))


class SoftwareForwarding:
    """The kernel's side: sends what its environment has of its own, and again when that has changed.

    Parameters
    ----------
    client
        Of a cluster whose workers do not see the home; its scheduler has a `Shelf`.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._sent: Any = None
        self._said: set[str] = set()

    def send(self) -> None:
        """Send what is new; one folder is looked at if nothing is. What cannot be is said once, in a sentence."""
        overlay = Overlay.present()
        now = packing.mark(overlay) if overlay is not None else None
        if overlay is None or now == self._sent:
            return
        self._sent = now
        try:
            pack = packing.pack(overlay, parse_bytes(settings.get("cluster.software")))
        except GeodesError as error:
            self._tell(str(error))
            return
        if pack is None:
            return
        with pack.file:
            if pack.left_out:
                self._tell(
                    f"{', '.join(pack.left_out[:5])} leads to folders of your home, as `pip install -e` makes it: "
                    "install that package without -e"
                )
            if why := self._client.sync(self._bring, pack):
                self._tell(why)

    async def _bring(self, pack: packing.Pack) -> str:
        scheduler, contents = self._client.scheduler, pack.contents
        pack.file.seek(0)
        while True:
            offset = pack.file.tell()
            part = pack.file.read(_PART)
            if not part:
                break
            if why := await scheduler.geodes_lab_software_put(sha256=contents.sha256, offset=offset, data=part):
                return str(why)
        answer = await scheduler.geodes_lab_software_use(contents=contents.plain())
        if answer["usable"]:  # else no worker could, and all go on with the image's
            await self._client.register_plugin(Unpacker(contents.plain()))
        return str(answer["why"])

    async def heard(self, event: tuple[float, dict[str, Any]]) -> None:
        """A worker does not have what it should: it is sent away, or stays with what it has in use."""
        message = event[1]
        self._tell(message["why"])
        if message["fatal"]:
            await self._client.scheduler.retire_workers(workers=[message["address"]], close_workers=True)

    def _tell(self, why: str) -> None:
        if why in self._said:
            return
        self._said.add(why)
        progress_bar.say(
            f"Your own packages are not all on the workers of the gateway: {why}. A step that needs one of them fails, "
            "or uses the version of the operator's image."
        )


def _in_use(packages: list[str]) -> str:
    if not packages:
        return ""
    return (
        f"{', '.join(packages[:5])}: what is imported already stays. Where you have installed it since, "
        "gl.clusters().stop() and compute again; in place of a package of the lab's, ask the operator for an image "
        "with it"
    )
