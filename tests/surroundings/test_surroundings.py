"""What is around the lab: names, certificates, clocks and servers, with real TLS and HTTP on this machine. tests/integration/chart/test_doctor.py has the
cluster's own part."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme

from geodes_lab.surroundings import certificates, clocks, names, servers
from geodes_lab.surroundings.finding import Finding, bounded

NOW = datetime.now(UTC)
HERE = "127.0.0.1"


def told(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(f.state, f.text) for f in findings]


@contextmanager
def answering(
    body: object = "", code: int = 200, skew: float = 0, tls: ssl.SSLContext | None = None, **head: str
) -> Iterator[str]:
    """A server whose clock is so many seconds ahead."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = (body if isinstance(body, str) else json.dumps(body)).replace("HERE", url).encode()
            self.send_response_only(code)
            self.send_header("Date", head.get("date") or formatdate(time.time() + skew, usegmt=True))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HERE, 0), Answer)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    url = f"http{'s' if tls else ''}://{HERE}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture(scope="module")
def closed() -> Iterator[int]:
    """A port of this machine at which nobody listens, and which nobody else is given."""
    with socket.socket() as held:
        held.bind((HERE, 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def authority(ca, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return str(path)


@contextmanager
def with_certificate(ca: trustme.CA, *identities: str, days: float = 90, since: float = -1) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made = ca.issue_cert(*identities, not_before=NOW + timedelta(days=since), not_after=NOW + timedelta(days=days))
    made.configure_cert(context)
    with answering(tls=context) as url:
        yield int(url.rpartition(":")[2])


@pytest.mark.parametrize(
    ("days", "since", "state", "text"),
    [
        (90, -1, "holds", f"That of {HERE} is good for 90 days more."),
        (3, -1, "warning", f"That of {HERE} ends in 3 days: renew it"),
        (-1, -9, "failed", "has expired: renew it, and look at the clocks"),
        (90, 2, "failed", "is not good yet: the clock of this node or of who made it is wrong"),
    ],
)
def test_certificate_by_its_dates(ca, authority, days, since, state, text):
    with with_certificate(ca, HERE, days=days, since=since) as port:
        ((found, said),) = told(certificates.good(HERE, port, "the lab", authority))
    assert found == state
    assert text in said


def test_certificate_of_another_name_or_an_unknown_authority(ca, authority):
    with with_certificate(ca, HERE, "lab.geodes.example", "*.lab.geodes.example") as port:

        def of(name: str, **more: str) -> tuple[str, str]:
            return told(certificates.good(HERE, port, "the lab", name=name, **more))[0]

        assert of("lab.geodes.example", authority=authority)[0] == "holds"
        assert of("somebody.lab.geodes.example", authority=authority)[0] == "holds"
        state, text = of("a.b.lab.geodes.example", authority=authority)
        assert (state, "is not for the name a.b.lab.geodes.example: get one that has it" in text) == ("failed", True)
        state, text = of(HERE, setting="lab.login.oidc.authority")
        assert state == "failed"
        assert "name a PEM with the authority in lab.login.oidc.authority" in text


def test_server_without_tls_none_and_an_authority_that_is_none(authority, closed, tmp_path):
    with answering() as url:
        ((state, text),) = told(certificates.good(HERE, int(url.rpartition(":")[2]), "the lab", authority))
    assert (state, "does not speak TLS" in text) == ("failed", True)
    ((state, text),) = told(certificates.good(HERE, closed, "the lab", authority))
    assert (state, "cannot be reached from inside" in text) == ("not tried", True)
    (tmp_path / "x.pem").write_text("no certificate")
    ((state, text),) = told(certificates.good(HERE, closed, "the lab", str(tmp_path / "x.pem"), "datalake.authority"))
    assert (state, "correct datalake.authority" in text) == ("failed", True)


@pytest.mark.parametrize(
    ("skew", "state", "text"),
    [
        (0, "holds", "This node and there agree within 30 s."),
        (120, "warning", "The clock of this node is 1"),
        (3600, "failed", "s behind that of there: tokens and signatures are refused. Start a time service"),
        (-3600, "failed", "s ahead of that of there"),
    ],
)
def test_clock(skew, state, text):
    with answering(skew=skew) as url:
        ((found, said),) = told(clocks.agreed({"there": lambda: servers.asked(url).headers["Date"]}))
    assert found == state
    assert text in said


def test_clock_of_who_says_none_or_nothing():
    def broken() -> str:
        raise OSError("refused")

    asking: dict[str, Callable[[], str]] = {"a": lambda: "", "b": lambda: "soon", "c": broken}
    assert [s for s, _ in told(clocks.agreed(asking))] == ["not tried"] * 3


def test_hub(closed):
    with answering({"version": "6.1.1"}) as url:
        assert told(servers.hub(url)) == [("holds", "JupyterHub 6.1.1 answers.")]
    for answer in ({"code": 503}, {"body": "<html>"}, {"body": []}):
        with answering(**{"code": 200, **answer}) as url:  # type: ignore[arg-type]
            ((state, text),) = told(servers.hub(url))
            assert (state, "look at `kubectl logs deployment/hub`" in text) == ("failed", True)
    assert told(servers.hub(f"http://{HERE}:{closed}"))[0][0] == "failed"


def test_datalake(ca, authority, closed):
    with answering(code=403) as url:
        assert told(servers.datalake(url)) == [("holds", f"{url} answers (403 without a key).")]
    with answering(code=503) as url:
        assert told(servers.datalake(url))[0][0] == "failed"
    ((state, text),) = told(servers.datalake(f"http://{HERE}:{closed}"))
    assert state == "failed"
    assert "check lab.datalake.endpoint; a private address must be in network.datalake" in text
    with with_certificate(ca, HERE) as port:
        assert told(servers.datalake(f"https://{HERE}:{port}", authority))[0][0] == "holds"
        assert "CERTIFICATE_VERIFY_FAILED" in told(servers.datalake(f"https://{HERE}:{port}"))[0][1]


@pytest.mark.parametrize(
    ("answer", "state", "text"),
    [
        ({"body": {"issuer": "HERE"}}, "holds", "answers and describes itself"),
        ({"body": {"issuer": "HERE/"}}, "failed", "nobody's token is accepted. Write its own name, to the letter"),
        ({"body": {"issuer": 5}}, "failed", "calls itself '5'"),
        ({"code": 404}, "failed", "answers 404 and no description: correct lab.login.oidc.issuer"),
        ({"body": "<html>"}, "failed", "and no description"),
    ],
)
def test_provider(answer, state, text):
    with answering(**answer) as url:
        ((found, said),) = told(servers.provider(url))
    assert found == state
    assert text in said


@pytest.fixture
def lookup(monkeypatch) -> Callable[..., None]:
    """A DNS that has some names; a name that hangs waits until the test is over."""
    over = threading.Event()

    def has(*known: str, hang: str = "") -> None:
        def look(name: str, *_: Any, **__: Any) -> list[Any]:
            if name == hang:
                over.wait(60)
            if name not in known:
                raise socket.gaierror(-2, "Name or service not known")
            return []

        monkeypatch.setattr(socket, "getaddrinfo", look)

    yield has
    over.set()


def test_names(lookup):
    lookup("hub", "sso.geodes.example", "lab.geodes.example", "somebody.lab.geodes.example")
    wanted = (["hub"], ["sso.geodes.example", "lab.geodes.example"], ["lab.geodes.example"])
    assert told(names.resolved(*wanted)) == [
        ("holds", "All names are found: hub, sso.geodes.example, lab.geodes.example.")
    ]
    lookup("lab.geodes.example")
    said = [text for _, text in told(names.resolved(*wanted))]
    assert said == [
        "The Service hub is not found (Name or service not known): check `kubectl get service hub` in this namespace.",
        "sso.geodes.example is not found (Name or service not known): correct it in `lab` of the values, or add it to the DNS.",
        "Names below lab.geodes.example are not found (Name or service not known): add *.lab.geodes.example to the DNS.",
    ]
    lookup()
    ((state, text),) = told(names.resolved(*wanted))
    assert state == "failed"
    assert "the policies let pods ask only the DNS that it names" in text


def test_name_that_does_not_resolve_and_one_that_is_none():
    """By the resolver of this machine."""
    (first, second) = told(names.resolved(["localhost", "no such.name"], ["a" * 70 + ".example"]))
    assert first[1].startswith("The Service no such.name is not found")
    assert second[0] == "failed"


def test_check_that_hangs_or_breaks_hides_no_other(lookup):
    lookup("hub", hang="slow.geodes.example")
    ((state, text),) = told(names.resolved(["hub"], ["slow.geodes.example"], seconds=0.2))
    assert state == "failed"
    assert "slow.geodes.example is not found (No answer within 0.2 s" in text

    def breaks() -> Iterator[Finding]:
        yield Finding("x", "holds", "So far.")
        raise KeyError("surprise")

    assert [(f.fact, f.state) for f in bounded("x", breaks, 5)] == [("x", "holds"), ("x", "failed")]
    waiting = threading.Event()

    def waits() -> list[Finding]:
        waiting.wait(60)
        return []

    (late,) = bounded("x", waits, 0.1)
    waiting.set()
    assert "No answer within 0.1 s: check the network of the pod" in late.text
