"""What the tests share: the sample datalake, an S3 server before it, the reference data, and settings of their own."""

# ruff: noqa: E402

from __future__ import annotations

import gc

# Importing and collecting make a million objects that stay: the garbage collector would look through them again and again,
# now and in each test. From the end of the collection it leaves them alone.
gc.disable()

import fcntl
import functools
import hashlib
import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

# Four processes with threads of linear algebra of their own on two cores wait for each other in loops: a tenth of all seconds.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Seconds of each worker of each cluster that a test starts; tests/cluster/test_local_cluster.py has it for itself.
os.environ.setdefault("DASK_GEODES_LAB__CLUSTER__AHEAD", "false")

import dask
import pytest
from httpx._transports import default as _default
from hypothesis import (
    settings as drawn,
)  # here, since its plugin would at the end, where threads of tests upset CPython 3.11's parser

from geodes_lab.sample import build, edition
from tests.support import long_tests
from tests.support.paths import SHARED, TOP
from tests.support.products.altering import Change, written
from tests.support.servers.s3_server import serving


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the garbage collector work, on what tests make: seldom, since cubes and Items are many objects that stay a while."""
    gc.freeze()
    gc.set_threshold(5000, 20, 10)
    gc.enable()


# The same examples in each run, so that what passes here passes elsewhere; `make test-all` draws others.
# No deadline: a busy machine is no failure.
drawn.register_profile("same", derandomize=True, database=None, deadline=None)
drawn.register_profile("search", database=None, deadline=None)
drawn.load_profile(os.environ.get("GEODES_LAB_EXAMPLES", "same"))


_SERVING = {
    "http.server",
    "socketserver",
    *(
        f"tests.support.{n}"
        for n in (
            *(f"servers.{m}" for m in ("served", "witness", "keyed", "standin", "upstream", "s3_server")),
            "browser",
            "acquisition.cdse",
        )
    ),
}
_THOROUGH = tuple(str(TOP / "tests" / folder) for folder in ("hostile", "oracle"))
_RUNNING = tuple(str(TOP / "tests" / folder) for folder in ("integration", "hub", "cluster"))


# Files that share what one of them starts; the others are on their own.
_TOGETHER = {
    f"tests/integration/{file}": name
    for name, files in {
        "the lab that runs": ("hub/test_hub.py", "browser/test_catalogue.py"),
        "the hub with a provider": ("hub/test_oidc.py", "hub/test_confined.py"),
    }.items()
    for file in files
}


@pytest.hookimpl(optionalhook=True)  # there is none with `-p no:xdist`
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give the tests of a file to one process, as `--dist loadfile` does, and those files too that share what is started."""
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return _TOGETHER.get(file, file)

    return Together(config, log) if config.getoption("dist") == "loadfile" else None


def spread(items: list[pytest.Item], waiting: Collection[str]) -> None:
    """Bring files that wait for servers between files that compute, so that processes side by side do both."""
    rank: dict[str, float] = {}
    kinds: tuple[list[str], list[str]] = ([], [])
    for path in dict.fromkeys(str(item.path) for item in items):
        kinds[path in waiting].append(path)
    for kind, last in zip(kinds, (1.0, 0.8), strict=True):  # what waits is long: none of it at the end
        rank |= {path: last * place / len(kind) for place, path in enumerate(kind)}
    items.sort(key=lambda item: rank[str(item.path)])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make check` leaves out: what needs a server, a cluster, a browser or helm, and what tries many cases."""
    of_modules: dict[object, bool] = {}
    cases: Counter[str] = Counter()
    for item in items:
        module = getattr(item, "module", None)
        if module not in of_modules:
            used = {
                getattr(value, "__module__", None) or getattr(value, "__name__", None)
                for value in vars(module).values()
            }
            of_modules[module] = str(item.path).startswith(_RUNNING) or bool(used & _SERVING)
        if of_modules[module] or "s3" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.server)
        if str(item.path).startswith(_THOROUGH):
            item.add_marker(pytest.mark.thorough)
        of = item.nodeid.partition("[")[0]
        for mark in long_tests.marks(item.nodeid, cases[of]):
            item.add_marker(mark)
        cases[of] += 1
    spread(items, {str(item.path) for item in items if str(item.path).startswith(_RUNNING)})


@pytest.fixture(autouse=True, scope="session")
def certificates_are_read_once() -> Iterator[None]:
    """Each `httpx.get` reads all certificates anew, 50 ms of a core, and a test that waits for a server asks often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_default, "create_ssl_context", functools.cache(_default.create_ssl_context))
        yield


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The hub's configuration makes files its owner's alone; a test that loads it must not make others' files so."""
    os.umask(before := os.umask(0o022))
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path: Path) -> Iterator[None]:
    """No test reaches beyond this machine or its own folder: the datalake's endpoint is a closed port on loopback."""
    settings = {
        "geodes_lab.datalake.endpoint": "http://127.0.0.1:9",
        "geodes_lab.cache.folder": str(tmp_path / "cache"),
        "geodes_lab.replica.folder": str(tmp_path / "replicas"),
        "geodes_lab.cluster.place": "local",
        "geodes_lab.cluster.folder": str(tmp_path / "running"),
    }
    asked = socket.getaddrinfo

    def only_here(host: str | bytes | None, *arguments: object, **options: object) -> object:
        if host not in (None, "", "localhost", "127.0.0.1", b"127.0.0.1", "::1", "0.0.0.0", socket.gethostname()):
            raise socket.gaierror(f"{host!r} is not on this machine")
        return asked(host, *arguments, **options)

    with dask.config.set(settings), pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", only_here)
        yield


@pytest.fixture(scope="session")
def sample() -> Path:
    """The sample datalake, written once for each version of its generator."""
    sources = sorted((TOP / "geodes_lab" / "sample").rglob("*.py"))
    version = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()[:12]
    folder = TOP / "build" / f"sample-{version}"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / ".sample-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests run in several processes, and one writes it
        if not edition.is_complete(folder):
            for old in folder.parent.glob("sample-*"):
                shutil.rmtree(old)
            build.write(folder)
    return folder


@pytest.fixture
def on_disk(sample: Path) -> Iterator[Path]:
    """The lab's settings: the sample's catalogue, its products as plain files."""
    with dask.config.set(
        {
            "geodes_lab.catalog.profiles.local.url": str(sample / "catalog" / "catalog.json"),
            "geodes_lab.datalake.mirror": str(sample / "datalake"),
        }
    ):
        yield sample


@pytest.fixture(scope="session")
def s3(sample: Path) -> Iterator[str]:
    """A real S3 server on loopback that serves the sample's buckets; gives its endpoint. Keys are in the environment."""
    with serving(sample / "datalake") as endpoint:
        yield endpoint


@pytest.fixture
def on_s3(sample: Path, s3: str) -> Iterator[Path]:
    """The lab's settings: the sample's catalogue, its products behind the S3 server and nowhere else."""
    with dask.config.set(
        {
            "geodes_lab.catalog.profiles.local.url": str(sample / "catalog" / "catalog.json"),
            "geodes_lab.datalake.mirror": None,
            "geodes_lab.datalake.endpoint": s3,
        }
    ):
        yield sample


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real products and answers that nobody here wrote; read in place."""
    if not SHARED.exists():
        pytest.skip(f"the reference data is not at {SHARED.relative_to(TOP.parent)} beside the project")
    return SHARED


@pytest.fixture(scope="session")
def product(sample: Path) -> Path:
    """One product of the sample, baseline 03.00, without clouds."""
    return next((sample / "datalake").glob("sentinel2-l1c/31/T/CJ/2021/06/05/*.zip"))


@pytest.fixture
def altered(product: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copy a product with some members changed: ``altered(change)``, ``change(name, data)`` gives data or None."""

    def alter(change: Change, source: Path = product) -> Path:
        return written(source, tmp_path, change)

    return alter
