"""One lab that runs, for the files that look at such a one: `tests/conftest.py` gives them to one process. It ends with the last of them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from hub.lab import Lab


@pytest.fixture(scope="package")
def lab(sample, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab as `make lab` starts it."""
    with Lab(tmp_path_factory.mktemp("lab"), sample=sample) as running:
        yield running


@pytest.fixture(scope="package")
def entering(lab: Lab) -> tuple[list[httpx.Response], httpx.Client, httpx.Response]:
    """What the lab answered to those without its link, who then entered by it, and what that one was answered."""
    wrong = (lab.url.replace("token=", "token=x"), lab.url.split("?")[0], f"http://127.0.0.1:{lab.port}/")
    strangers = [httpx.get(url, follow_redirects=True) for url in wrong]
    web = httpx.Client(timeout=60)
    return strangers, web, web.get(lab.url)
