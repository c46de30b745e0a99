"""TLS between the lab and a real PostgreSQL: of the store of jobs, of the engine that acquires, and of the hub."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
import sqlalchemy as sa
import trustme

from geodes_lab.acquisition.ledger import tables as ledger
from geodes_lab.acquisition.settings.storing import Postgresql, State
from geodes_lab.batch.store import tables as jobs
from geodes_lab.errors import GeodesError
from geodes_lab.util.database import Database, of_postgresql
from tests.support.paths import TOP
from tests.support.servers.postgresql import Server, serving


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def secured() -> Iterator[Server]:
    with serving(trustme.CA()) as server:
        yield server


def engine(folder: Path, place: dict, **more) -> Database:
    return ledger.Database(State(folder=folder, postgresql=Postgresql(**place, **more)))


def store(place: dict, **more) -> Database:
    with dask.config.set({"geodes_lab.jobs.postgresql": {**place, **more}}):
        return jobs.opened()


def is_encrypted(database: Database) -> bool:
    with database.read() as c:
        return c.execute(sa.text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).scalar_one()


def test_server_without_tls_is_refused_in_a_sentence(plain, tmp_path):
    for open_ in (lambda **m: engine(tmp_path, plain.place, **m), lambda **m: store(plain.place, **m)):
        for mode in ("require", "verify-full"):
            with pytest.raises(GeodesError, match=r"the server has no TLS\. Switch it on there .* sslmode: disable"):
                open_(sslmode=mode)
    assert not is_encrypted(engine(tmp_path, plain.place)), "this machine itself: TLS if there is any"
    with pytest.raises(GeodesError, match=r"sslmode is 'yes', not one of disable, "):
        store(plain.place, sslmode="yes")


def test_certificate_is_verified(secured, tmp_path):
    place, ours = {**secured.place, "host": "localhost"}, str(secured.authority)
    for database in (
        engine(tmp_path, place, sslmode="verify-full", sslrootcert=ours),
        store(place, sslmode="verify-full", sslrootcert=ours),
    ):
        assert is_encrypted(database)
        database.close()
    trustme.CA().cert_pem.write_to_path(other := tmp_path / "other.pem")
    for wrong in (
        {"sslrootcert": str(other)},
        {"sslrootcert": str(tmp_path / "nothing.pem")},
        {},  # the system's authorities
        {"sslrootcert": ours, "host": "127.0.0.1"},  # a certificate of another name
    ):
        with pytest.raises(GeodesError, match=r"the certificate is not accepted\. Name the file of the authority"):
            store({**place, "sslmode": "verify-full", **wrong})


def test_other_machines_are_verified_unless_it_is_said_otherwise():
    query = {host: dict(of_postgresql(host, 1, "d", "u").query) for host in (None, "/run/pg", "::1", "db.example")}
    assert query.pop("db.example") == {"sslmode": "verify-full", "sslrootcert": "system"}
    assert all(q == {"sslmode": "prefer"} for q in query.values())
    assert dict(of_postgresql("db.example", 1, "d", "u", sslmode="disable").query) == {"sslmode": "disable"}


def test_hub_says_why_it_does_not_start(plain, secured, tmp_path):
    """JupyterHub itself says that one should upgrade the database."""
    (config := tmp_path / "c.py").write_text("from hub import database\ndatabase.explained()\n")

    def said(place: dict, query: str) -> tuple[int, str]:
        address = f"postgresql+psycopg2://{place['user']}@localhost:{place['port']}/{place['database']}?{query}"
        command = [sys.executable, "-m", "jupyterhub", "upgrade-db", "-f", str(config), f"--db={address}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(TOP)})
        return done.returncode, done.stderr

    code, error = said(plain.place, "sslmode=verify-full&sslrootcert=system")
    assert code, error
    assert "The database of the hub cannot be used" in error
    assert "the server has no TLS. Switch it on there" in error
    code, error = said(secured.place, f"sslmode=verify-full&sslrootcert={secured.authority}")
    assert code == 0, error
