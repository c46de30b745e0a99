"""The processes that parse products: started with nothing but an address and a secret of the broker, and replaced."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from dask.system import CPU_COUNT

from hub.installation import TOP

_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "PROJ_DATA", "PROJ_LIB", "GDAL_DATA", "SSL_CERT_FILE", "LD_LIBRARY_PATH")
_SETTINGS = ("DASK_GEODES_LAB__DATALAKE__HOSTS", "DASK_GEODES_LAB__DATALAKE__REGION")
_START = 60.0  # seconds
_SECONDS = 60.0  # for one answer; a process that takes longer is replaced
_LARGEST = 32 * 2**20  # bytes of an answer
_GIB = 2**30
AT_ONCE = max(4, 2 * CPU_COUNT)
"""Pictures that a process draws together: more would only need more memory."""
_log = logging.getLogger("tiles")


class Failed(Exception):
    """The tiler gives no answer; the sentence says why."""


@dataclass(frozen=True)
class Answer:
    """An answer of the tiler."""

    status: int
    media: str
    body: bytes


async def _listens(socket: str) -> bool:
    """Whether somebody takes connections there; its file is there a moment before."""
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.close()
    return True


class Worker:
    """One process, started when it is needed, and again when it has ended.

    Parameters
    ----------
    endpoint, secret
        Of the broker.
    cache
        The folder for indexes of products.
    memory
        Bytes that it may hold; with more, it is replaced.
    """

    def __init__(self, endpoint: str, secret: str, cache: Path, memory: int) -> None:
        self._endpoint, self._secret, self._cache, self._memory = endpoint, secret, cache, memory
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx.AsyncClient | None = None
        self._folder = ""
        self._lock = asyncio.Lock()
        self.turns = asyncio.Semaphore(AT_ONCE)
        """For who asks it: what waits here can still be given up."""
        self._answered = 0
        self._beginning: asyncio.Task[None] | None = None
        self._now = 0

    def begin(self) -> None:
        """Start it, so that the first tile need not wait for it."""
        if self._beginning is None:
            self._beginning = asyncio.create_task(self._begin())

    async def _begin(self) -> None:
        with contextlib.suppress(Failed):  # said by the first request
            await self._ready()

    async def ask(self, path: str, query: str, base: httpx.URL, body: bytes) -> Answer:
        """Ask it.

        Parameters
        ----------
        path, query
            What, in TiTiler's terms.
        base
            The address of the Item that people see: links begin with it.
        body
            The Items.

        Raises
        ------
        Failed
            If it ends, or takes too long.
        """
        client = await self._ready()
        root = base.path.rstrip("/")
        # TiTiler takes the begin of links from the request: the Item's own address is where its routes begin.
        headers = {"Host": base.netloc.decode(), "X-Root": root, "X-Scheme": base.scheme}
        url = f"http://tiler/{path}{f'?{query}' if query else ''}"
        self._now += 1
        try:
            async with asyncio.timeout(_SECONDS):
                answer = await client.request("GET", url, content=body, headers=headers)
        except TimeoutError:
            _log.error("a request took more than %g s: the tiler is replaced", _SECONDS)
            await self._end()
            raise Failed(f"This takes more than {_SECONDS:g} s: zoom in, or draw less.") from None
        except httpx.HTTPError as error:
            _log.error("the tiler ended (%s): it is replaced", type(error).__name__)
            await self._end()
            raise Failed("The product cannot be drawn: the process that reads it ended.") from None
        finally:
            self._now -= 1
        self._answered += 1
        if self._answered % 64 == 0:
            await self._refresh()
        if len(answer.content) > _LARGEST:
            raise Failed("The answer is too large: ask for less.")
        return Answer(answer.status_code, answer.headers.get("Content-Type", ""), answer.content)

    async def _ready(self) -> httpx.AsyncClient:
        async with self._lock:
            if self._process is not None and self._process.poll() is None and self._client is not None:
                return self._client
            await self._stop()
            self._folder = tempfile.mkdtemp(prefix="tiler-")
            socket = f"{self._folder}/s"
            self._process = self._started(socket)  # in this thread: it ends with it
            transport = httpx.AsyncHTTPTransport(uds=socket, limits=httpx.Limits(max_connections=64))
            self._client = httpx.AsyncClient(transport=transport, timeout=None, trust_env=False)
            deadline = time.monotonic() + _START
            while not await _listens(socket):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    await self._stop()
                    raise Failed("The process that reads products does not start.")
                await asyncio.sleep(0.05)
            return self._client

    def _started(self, socket: str) -> subprocess.Popen[bytes]:
        self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = {k: os.environ[k] for k in (*_ENVIRONMENT, *_SETTINGS) if k in os.environ}
        own = {
            "PYTHONPATH": str(TOP),
            "HOME": self._folder,
            "TMPDIR": self._folder,
            "DASK_CONFIG": self._folder,  # nobody's own settings
            "DASK_GEODES_LAB__DATALAKE__ENDPOINT": self._endpoint,
            "DASK_GEODES_LAB__CACHE__FOLDER": str(self._cache),
            "DASK_GEODES_LAB__CACHE__TILES": str(self._memory // 4),
            "DASK_GEODES_LAB__REPLICA__FOLDER": f"{self._folder}/replica",
            "DASK_GEODES_LAB__REPLICA__LIMIT": "2GiB",
            "AWS_ACCESS_KEY_ID": "tiler",
            "AWS_SECRET_ACCESS_KEY": "tiler",
            "AWS_SESSION_TOKEN": self._secret,
            "AWS_ENDPOINT_URL": self._endpoint,
            "OPENBLAS_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
        }
        command = [sys.executable, "-m", "hub.services.tiles.tiler", socket]
        memory = 2 * self._memory

        libc, parent_death_signal = ctypes.CDLL(None), 1

        def limit() -> None:
            # From its first moment: it ends when this thread does, however that happens.
            libc.prctl(parent_death_signal, signal.SIGKILL, 0, 0, 0)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))

        return subprocess.Popen(command, env={**kept, **own}, cwd=self._folder, preexec_fn=limit)

    async def _refresh(self) -> None:
        """Replace a process that holds too much memory, if it has nothing to do."""
        with contextlib.suppress(psutil.Error):
            if self._process and not self._now and psutil.Process(self._process.pid).memory_info().rss > self._memory:
                await self._end()

    async def _end(self) -> None:
        async with self._lock:
            await self._stop()

    async def _stop(self) -> None:
        client, self._client = self._client, None
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.kill()
        if process is not None:
            await asyncio.to_thread(process.wait)
        if client is not None:
            with contextlib.suppress(httpx.HTTPError):
                await client.aclose()
        shutil.rmtree(self._folder or "/nonexistent", ignore_errors=True)

    async def close(self) -> None:
        """End it."""
        await self._end()


def memory() -> int:
    """Return the bytes that one process may hold."""
    return int(os.environ.get("GEODES_LAB_MEMORY", 4 * _GIB)) // 2
