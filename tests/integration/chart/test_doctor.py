"""`geodes-lab doctor --cluster` as its pod runs it: with the rights that the chart gives its account, against a Kubernetes API over TLS, and its command on the
operator's file of the chart."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
import yaml
from click.testing import CliRunner

from geodes_lab.cli import main
from geodes_lab.errors import GeodesError
from geodes_lab.surroundings import kubernetes, policies, storage
from geodes_lab.surroundings.kubernetes import Kubernetes
from tests.support.chart.charting import needs_helm, one, rendered
from tests.support.chart.kubernetes.api import Api

pytestmark = needs_helm
CLASSES, SLICES = "storageclasses.storage.k8s.io", "endpointslices.discovery.k8s.io"
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}


class Cluster:
    """One with the objects of the chart, seen by the doctor's account."""

    def __init__(self, api: Api, account: Path) -> None:
        self.api, self.seen = api, Kubernetes(api.url, account)

    def add(self, resource: str, name: str, **more: Any) -> None:
        namespace = "" if resource == CLASSES else "lab"
        meta = {"name": name, **more.pop("metadata", {})}
        self.api.do(lambda: self.api.store.create(resource, namespace, {"metadata": meta, **more}))

    def claim(self, name: str, phase: str = "Bound", storage_class: str | None = None) -> None:
        spec = {"accessModes": ["ReadWriteMany"], **({"storageClassName": storage_class} if storage_class else {})}
        self.add("persistentvolumeclaims", name, spec=spec, status={"phase": phase})

    def event(self, claim: str, reason: str, message: str) -> None:
        about = {"kind": "PersistentVolumeClaim", "name": claim}
        told = {"reason": reason, "message": message, "lastTimestamp": "2026-11-27T12:00:00Z", "type": "Warning"}
        self.add("events", f"{claim}.1", involvedObject=about, **told)

    def said(self, check: Any, *arguments: Any, **more: Any) -> list[tuple[str, str]]:
        return [(f.state, f.text) for f in check(self.seen, *arguments, **more)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    documents = rendered("cnes")
    everywhere = next(d["metadata"]["name"] for d in documents if d["kind"] == "ClusterRole")
    roles = [one(documents, "Role", "geodes-lab-doctor"), one(documents, "ClusterRole", everywhere)]
    ca, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    account = tmp_path / "account"
    account.mkdir()
    for name, text in {"token": "doctor", "namespace": "lab"}.items():
        (account / name).write_text(text)
    ca.cert_pem.write_to_path(str(account / "ca.crt"))
    api = Api({"doctor": [rule for role in roles for rule in role["rules"]]})
    with api.serving(tls):
        yield Cluster(api, account)


def test_storage_that_is_there(cluster):
    cluster.add(CLASSES, "block", metadata={"annotations": DEFAULT})
    cluster.add(CLASSES, "files")
    cluster.claim("geodes-lab-groups", storage_class="files")
    cluster.claim("claim-alice")
    assert cluster.said(storage.classes) == [("holds", "block is the default; there are block, files.")]
    assert cluster.said(storage.claims) == [("holds", "All 2 claims have their volumes.")]


def test_storage_that_is_missing(cluster):
    ((state, text),) = cluster.said(storage.classes)
    assert (state, "None of no classes is the default: claims without a class stay Pending." in text) == (
        "warning",
        True,
    )
    for name in ("a", "b"):
        cluster.add(CLASSES, name, metadata={"annotations": DEFAULT})
    cluster.claim("geodes-lab-shared", "Pending", "fast")
    cluster.claim("geodes-lab-groups", "Pending", "a")
    cluster.claim("claim-new", "Pending")
    cluster.claim("claim-old", "Lost")
    cluster.event("geodes-lab-groups", "ProvisioningFailed", "only ReadWriteOnce is supported")
    cluster.event("claim-new", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    (missing, several) = cluster.said(storage.classes)
    assert missing[0] == "failed"
    assert "Claims name the class fast, which the cluster does not have: it has a, b." in missing[1]
    assert several == ("warning", "a, b are all the default, and the newest is taken: leave one.")
    by_claim = dict(zip(("shared", "groups", "new", "old"), cluster.said(storage.claims), strict=True))
    assert by_claim["groups"][0] == "failed"
    assert (
        "geodes-lab-groups (ReadWriteMany) is Pending, so pods that mount it do not start (ProvisioningFailed: only"
        in (by_claim["groups"][1])
    )
    assert by_claim["groups"][1].endswith("give it a class that offers ReadWriteMany.")
    assert by_claim["new"] == ("holds", "claim-new gets its volume when its first pod starts.")
    assert by_claim["old"][1].startswith("The volume of claim-old is gone: restore it from a backup")


def test_account_with_fewer_rights_checks_what_it_may(cluster):
    cluster.api.rights["doctor"] = []
    for check in (storage.classes, storage.claims):
        ((state, text),) = cluster.said(check)
        assert state == "not tried"
        assert "403" in text
    ((state, text),) = cluster.said(policies.enforced, "usage", 8080)
    assert (state, "403" in text) == ("not tried", True)
    (cluster.seen.account / "ca.crt").write_bytes(trustme.CA().cert_pem.bytes())
    with pytest.raises(GeodesError, match="CERTIFICATE_VERIFY_FAILED"):
        cluster.seen.get("/version")


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held


def test_policies(cluster, door):
    port = door.getsockname()[1]
    ask = lambda: cluster.said(policies.enforced, "usage", port, host="127.0.0.1")  # noqa: E731
    ((state, text),) = ask()
    assert (state, "No pod of usage is ready" in text) == ("not tried", True), "what nobody listens to is closed anyway"
    labels = {"labels": {"kubernetes.io/service-name": "usage"}}
    cluster.add(SLICES, "of-another", metadata={"labels": {"kubernetes.io/service-name": "home"}}, endpoints=[{}])
    cluster.add(SLICES, "usage-old", metadata=labels, endpoints=[{"conditions": {"ready": False}}])
    assert ask()[0][0] == "not tried"
    cluster.add(
        SLICES, "usage-1", metadata=labels, endpoints=[{"conditions": {"ready": True}, "addresses": ["10.2.0.23"]}]
    )
    ((state, text),) = ask()
    assert (state, "The network keeps this pod from usage" in text) == ("holds", True)
    door.listen()
    ((state, text),) = ask()
    assert (state, "the network of the cluster enforces none" in text) == ("failed", True)
    assert cluster.api.asked == [], "it changes nothing"


def test_command_of_the_pod(cluster, tmp_path, monkeypatch):
    """All checks; the names of the examples lead nowhere, so that those of the outside fail, each with what to do."""
    container = one(rendered("cnes"), "CronJob", "doctor")["spec"]["jobTemplate"]["spec"]["template"]["spec"][
        "containers"
    ][0]
    program, *arguments = container["command"]
    assert program == "geodes-lab"
    text = one(rendered("cnes"), "ConfigMap", "geodes-lab")["data"]["lab.yaml"]
    file = yaml.safe_load(text)
    del file["login"]["oidc"]["authority"]
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(file))
    monkeypatch.setattr(kubernetes, "ACCOUNT", cluster.seen.account)
    look = socket.getaddrinfo

    def nothing_else(host: Any, *arguments: Any, **more: Any) -> Any:
        if host not in ("127.0.0.1", b"127.0.0.1"):
            raise socket.gaierror(-2, "Name or service not known")
        return look(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", nothing_else)
    address = urlsplit(cluster.api.url)
    environment = {
        "GEODES_LAB_SETTINGS": str(tmp_path / "lab.yaml"), "KUBERNETES_SERVICE_HOST": str(address.hostname),
        "KUBERNETES_SERVICE_PORT": str(address.port),
    }  # fmt: skip
    done = CliRunner().invoke(main, [*arguments, "--json"], env=environment)
    assert done.exit_code == 1, done.output
    by_fact = {f["fact"]: f for f in json.loads(done.output)}
    assert list(by_fact) == [
        "DNS", "hub", "storage class", "claims", "policies", "provider", "datalake", "clocks", "certificate of the provider",
        "certificate of the datalake", "certificate of the lab", "certificate of people's names",
    ]  # fmt: skip
    assert {n: f["state"] for n, f in by_fact.items() if n in ("hub", "claims", "policies", "provider")} == {
        "hub": "failed", "claims": "holds", "policies": "not tried", "provider": "failed",
    }  # fmt: skip
    shown = CliRunner().invoke(main, arguments, env=environment).output
    assert "holds     claims: All 0 claims have their volumes." in shown
    assert "clocks: This node and Kubernetes' API agree" in shown
    outside = CliRunner().invoke(main, arguments, env={**environment, "KUBERNETES_SERVICE_HOST": ""}).output
    assert "not tried Kubernetes: This is no pod with an account of the cluster" in outside
    assert "needs --settings" in CliRunner().invoke(main, arguments, env={"GEODES_LAB_SETTINGS": ""}).output
