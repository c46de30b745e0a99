"""One hub of several people, whom a provider knows, and all its services: as `tests/conftest.py` says, for some files at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub.hubs import Production
from tests.support.hub.provider import Provider

GROUPS = {
    "geodes/admins": {"admin": True, "profiles": ["S"]},
    "geodes": {"profiles": ["S"]},
    "waiting": {"enter": False},
}


@pytest.fixture(scope="package")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(scope="package")
def with_login(provider: Provider, sample: Path) -> Callable[..., dict[str, Any]]:
    """The operator's file with these settings of the login."""
    return lambda **oidc: {
        "contact": "desk@example.org",
        "login": {"kind": "oidc", "oidc": provider.settings(**oidc)},
        "subdomains": False,
        "servers": {"kind": "accounts"},
        "profiles": {"S": {"title": "Small", "cores": 1, "memory": "1 GiB"}},
        "groups": GROUPS,
        "datalake": {"folder": str(sample / "datalake"), "gate": True},
        "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
    }


@pytest.fixture(scope="package")
def hub(with_login: Callable[..., dict[str, Any]]) -> Iterator[Production]:
    claims = {"groups": ["groups", "realm_access.roles"]}
    with Production(with_login(claims=claims, refresh="1 s", grace="3 s")) as running:
        yield running
