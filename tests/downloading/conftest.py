"""What the tests of downloads share: a web server with small zips, a directory, and no pauses."""

from __future__ import annotations

import hashlib
import io
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest

from geodes_lab.storage import fetch, resolve
from tests.support.servers.upstream import Upstream


def zipped(seed: int = 0, size: int = 200_000) -> bytes:
    """A zip with two members, the same for the same seed."""
    file, numbers = io.BytesIO(), random.Random(seed)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("P.SAFE/MTD.xml"), "<a/>" * 100, zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo("P.SAFE/image.jp2"), numbers.randbytes(size))
    return file.getvalue()


def md5(data: bytes) -> str:
    return f"d50110{hashlib.md5(data).hexdigest()}"


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fetch, "_PAUSES", (0, 0, 0))
    monkeypatch.setattr(resolve, "_known", {})  # which servers give ranges
    monkeypatch.delenv("GEODES_API_KEY", raising=False)
    with dask.config.set({"geodes_lab.download.hosts": ["127.0.0.1"], "geodes_lab.datalake.probe": 2}):
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    server.files.clear()
    server.requests.clear()
    return server


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "products"
