"""Who reaches whom in the rendered chart: a table of questions with the answers that a lab must give, and what daskhub's defaults answer."""

from __future__ import annotations

import pytest

from tests.integration.chart.test_pods import dask_pods
from tests.support.chart import charting
from tests.support.chart.charting import EXAMPLES, needs_helm, one, rendered
from tests.support.chart.netpol import End, Network, Split, matches

pytestmark = needs_helm


def jupyter(component: str, address: str, **more: str) -> End:
    return End(
        component,
        address,
        {"app": "jupyterhub", "component": component, "release": "lab", **more},
        ports={"notebook-port": 8888},
    )


def ours(name: str, address: str) -> End:
    labels = {
        "app.kubernetes.io/name": "geodes-lab",
        "app.kubernetes.io/instance": "lab",
        "app.kubernetes.io/component": name,
    }
    return End(name, address, labels)


def gateway(component: str, address: str) -> End:
    return End(component, address, {"app.kubernetes.io/name": "dask-gateway", "app.kubernetes.io/component": component})


def dask(component: str, cluster: str, address: str) -> End:
    return End(
        f"{component} of {cluster}",
        address,
        {
            "app.kubernetes.io/name": "dask-gateway",
            "gateway.dask.org/instance": "dask-gateway",
            "gateway.dask.org/cluster": cluster,
            "app.kubernetes.io/component": component,
        },
    )


A = jupyter("singleuser-server", "10.2.0.11", **{"hub.jupyter.org/username": "alice"})
B = jupyter("singleuser-server", "10.2.0.12", **{"hub.jupyter.org/username": "bob"})
HUB, PROXY = jupyter("hub", "10.2.0.1"), jupyter("proxy", "10.2.0.2")
# As zero-to-jupyterhub calls its helpers: two ask Kubernetes, the others only hold images on nodes, or room.
AWAITER, SCHEDULING = jupyter("image-puller", "10.2.0.3"), jupyter("user-scheduler", "10.2.0.4")
PULLERS = [
    jupyter(n, f"10.2.0.{i}")
    for i, n in enumerate(("continuous-image-puller", "hook-image-puller", "user-placeholder"), 5)
]
DATA, CATALOGUE, USAGE, CULLER, HOME = (
    ours(n, f"10.2.0.{i}") for i, n in enumerate(("data", "catalogue", "usage", "culler", "home"), 21)
)
HARVEST, TRIAL, DOCTOR, BACKUP = (
    ours(n, f"10.2.0.{i}") for i, n in enumerate(("harvest", "trial", "doctor", "backup"), 31)
)
API, TRAEFIK, CONTROLLER = (
    gateway("gateway", "10.2.0.41"),
    gateway("traefik", "10.2.0.42"),
    gateway("controller", "10.2.0.43"),
)
SCHEDULER, WORKER = dask("dask-scheduler", "alices", "10.2.0.51"), dask("dask-worker", "alices", "10.2.0.52")
OTHER_SCHEDULER = dask("dask-scheduler", "bobs", "10.2.0.61")
DNS = End("dns", "10.2.0.71", {"k8s-app": "kube-dns"}, "kube-system")
PROMETHEUS = End("prometheus", "10.2.0.72", {"app": "prometheus"}, "monitoring")
INGRESS = End("ingress", "10.2.0.73", {"app": "nginx"}, "ingress-nginx")
ELSEWHERE = End(
    "a pod of another namespace", "10.2.0.74", {"app": "jupyterhub", "component": "hub", "release": "lab"}, "other"
)
# In values-cnes.yaml these are private addresses.
DATABASE, DATALAKE, LOGIN = End("database", "10.30.2.10"), End("datalake", "10.40.0.5"), End("login", "10.30.1.7")
KUBERNETES, METADATA, PUBLIC, HOUSE = (
    End("kubernetes", "10.96.0.1"),
    End("metadata", "169.254.169.254"),
    End("pypi", "151.101.0.1"),
    End("house", "10.9.9.9"),
)

TABLE = [
    # A person's server reaches what it needs …
    (A, HUB, 8081, True), (A, PROXY, 8000, True), (A, DATA, 8080, True), (A, CATALOGUE, 8080, True), (A, USAGE, 8080, True),
    (A, CULLER, 8080, True), (A, HOME, 8080, True), (A, TRAEFIK, 8000, True), (A, PUBLIC, 443, True),
    # … and nothing else: not another's server, cluster or files, not the database, the datalake past the gate, the cloud's metadata.
    (A, B, 8888, False), (A, B, 22, False), (A, OTHER_SCHEDULER, 8786, False), (A, OTHER_SCHEDULER, 8787, False), (A, SCHEDULER, 8786, False),
    (A, WORKER, 40000, False), (A, DATABASE, 5432, False), (A, DATALAKE, 443, False), (A, METADATA, 80, False), (A, KUBERNETES, 443, False),
    (A, HOUSE, 443, False), (A, LOGIN, 443, False), (A, API, 8000, False), (A, PROXY, 8001, False), (A, HUB, 22, False), (A, CONTROLLER, 8000, False),
    (A, PROMETHEUS, 9090, False), (A, HARVEST, 8080, False), (A, ELSEWHERE, 8081, False),
    # Dask works: the kernel through the gateway's proxy, workers with their scheduler and each other, all with the gateway.
    (TRAEFIK, API, 8000, True), (TRAEFIK, SCHEDULER, 8786, True), (TRAEFIK, SCHEDULER, 8787, True), (API, SCHEDULER, 8788, True), (API, HUB, 8081, True), (API, USAGE, 8080, True),
    (WORKER, SCHEDULER, 8786, True), (SCHEDULER, WORKER, 40000, True), (WORKER, WORKER, 40000, True), (SCHEDULER, API, 8000, True), (HUB, TRAEFIK, 8000, True),
    (CONTROLLER, KUBERNETES, 443, True), (API, KUBERNETES, 443, True), (TRAEFIK, KUBERNETES, 443, True),
    (WORKER, DATA, 8080, True), (WORKER, PUBLIC, 443, True), (WORKER, METADATA, 80, False), (WORKER, DATABASE, 5432, False), (WORKER, DATALAKE, 443, False),
    (WORKER, A, 8888, False), (WORKER, B, 8888, False), (WORKER, HUB, 8081, False), (WORKER, USAGE, 8080, False), (WORKER, PROXY, 8001, False),
    (API, A, 8888, False), (TRAEFIK, A, 8888, False), (CONTROLLER, HUB, 8081, False), (SCHEDULER, METADATA, 80, False),
    # The hub and its services.
    (HUB, A, 8888, True), (HUB, PROXY, 8001, True), (HUB, USAGE, 8080, True), (HUB, DATABASE, 5432, True), (HUB, LOGIN, 443, True), (HUB, KUBERNETES, 443, True),
    (HUB, METADATA, 80, False), (HUB, DATALAKE, 443, False), (HUB, SCHEDULER, 8786, False),
    (PROXY, HUB, 8081, True), (PROXY, A, 8888, True), (PROXY, HOME, 8080, True), (PROXY, DATABASE, 5432, False), (PROXY, PUBLIC, 443, False),
    (DATA, DATALAKE, 443, True), (DATA, HUB, 8081, True), (DATA, USAGE, 8080, True), (DATA, DATABASE, 5432, False), (DATA, A, 8888, False),
    (CATALOGUE, HUB, 8081, True), (CATALOGUE, DATA, 8080, True), (CATALOGUE, DATALAKE, 443, True), (CATALOGUE, DATABASE, 5432, False),
    (HOME, USAGE, 8080, True), (HOME, CULLER, 8080, True), (HOME, PUBLIC, 443, False), (USAGE, HUB, 8081, True), (USAGE, PUBLIC, 443, False),
    (CULLER, HUB, 8081, True), (CULLER, A, 8888, False), (HARVEST, PUBLIC, 443, True), (HARVEST, DATALAKE, 443, True), (HARVEST, HUB, 8081, False),
    (TRIAL, HUB, 8081, True), (TRIAL, PROXY, 8000, True), (TRIAL, A, 8888, False), (TRIAL, KUBERNETES, 443, True), (AWAITER, KUBERNETES, 443, True), (AWAITER, HUB, 8081, False),
    (DOCTOR, HUB, 8081, True), (DOCTOR, KUBERNETES, 443, True), (DOCTOR, LOGIN, 443, True), (DOCTOR, DATALAKE, 443, True), (DOCTOR, PUBLIC, 443, True),
    # It sees by these that policies are enforced, and has nothing to do there.
    (DOCTOR, USAGE, 8080, False), (DOCTOR, A, 8888, False), (DOCTOR, DATABASE, 5432, False), (DOCTOR, METADATA, 80, False), (A, DOCTOR, 8080, False),
    # The backup dumps the database, and that is all.
    (BACKUP, DATABASE, 5432, True), (BACKUP, HUB, 8081, False), (BACKUP, USAGE, 8080, False), (BACKUP, KUBERNETES, 443, False), (BACKUP, PUBLIC, 443, False),
    (BACKUP, DATALAKE, 443, False), (BACKUP, METADATA, 80, False), (A, BACKUP, 8080, False),
    (SCHEDULING, KUBERNETES, 443, True), *[(who, KUBERNETES, 443, False) for who in PULLERS],
    # Kubernetes' own API is for who asks it, and for nobody else.
    *[(who, KUBERNETES, 443, False) for who in (A, B, PROXY, DATA, CATALOGUE, USAGE, CULLER, HOME, HARVEST, SCHEDULER, WORKER)],
    # From outside of the namespace.
    (INGRESS, PROXY, 8000, True), (INGRESS, HUB, 8081, False), (INGRESS, A, 8888, False), (PUBLIC, PROXY, 8000, False), (ELSEWHERE, A, 8888, False),
    (ELSEWHERE, USAGE, 8080, False), (PROMETHEUS, HUB, 8081, True), (PROMETHEUS, USAGE, 8080, True), (PROMETHEUS, A, 8888, False), (PROMETHEUS, DATA, 8080, False),
]  # fmt: skip


def network(example: str, *options: str) -> Network:
    return Network(tuple(d for d in rendered(example, *options) if d["kind"] == "NetworkPolicy"))


@pytest.mark.attack
@pytest.mark.parametrize(("source", "target", "port", "answer"), TABLE, ids=lambda v: getattr(v, "name", str(v)))
def test_table(source, target, port, answer):
    assert network("cnes").may(source, target, port) is answer


@pytest.mark.attack
@pytest.mark.parametrize("who", [A, WORKER, HUB, DATA, HARVEST, API, TRIAL], ids=lambda e: e.name)
def test_names_are_asked_of_the_clusters_dns_alone(who):
    net = network("cnes")
    assert net.may(who, DNS, 53, "UDP")
    assert net.may(who, DNS, 53, "TCP")
    assert not net.may(who, METADATA, 53, "UDP")
    assert not net.may(who, HOUSE, 53, "UDP")
    cached = network("cnes", "--set", "network.dns.addresses={169.254.20.10/32}")
    assert cached.may(who, End("cache on the node", "169.254.20.10"), 53, "UDP")
    assert not cached.may(who, METADATA, 53, "UDP")


def test_every_pod_that_there_is_is_held():
    """The labels of the table are those of the pods that are made."""
    documents = rendered("cnes")
    selectors = [
        d["spec"]["podSelector"] for d in documents if d["kind"] == "NetworkPolicy" and d["spec"]["podSelector"]
    ]
    for name, pod in charting.pods(documents).items():
        assert any(matches(s, pod["metadata"]["labels"]) for s in selectors), name
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        assert pod["metadata"]["labels"] == ours(component, "10.0.0.1").labels
    for pod in dask_pods("cnes"):
        labels = pod["metadata"]["labels"]
        assert dask(labels["app.kubernetes.io/component"], "a1b2c3", "10.0.0.1").labels.items() <= labels.items()
    for service in ("data", "catalogue", "usage", "culler", "home"):
        assert matches(
            {"matchLabels": one(documents, "Service", service)["spec"]["selector"]}, ours(service, "10.0.0.1").labels
        )


def test_labels_of_a_servers_pod_are_those_of_the_table():
    """tests/integration/chart/test_hub.py looks at what KubeSpawner makes; here at the fewest labels that policies go by."""
    for d in rendered("cnes"):
        if d["kind"] == "NetworkPolicy" and d["metadata"]["name"] == "geodes-lab-singleuser-server":
            assert d["spec"]["podSelector"]["matchLabels"] == {
                "app": "jupyterhub",
                "component": "singleuser-server",
                "release": "lab",
            }


def test_workers_of_different_clusters_are_kept_apart_by_tls_not_by_labels():
    """Said plainly, in docs/operations/chart.md too: labels cannot say "of the same cluster"."""
    assert network("cnes").may(WORKER, OTHER_SCHEDULER, 8786), "which asks for a certificate of its own cluster"


def test_without_the_gate_people_read_the_datalake_itself():
    net = network("kind", "--set-json", 'network.datalake=[{"cidr": "10.40.0.0/16", "ports": [443]}]')
    assert net.may(A, DATALAKE, 443)
    assert net.may(WORKER, DATALAKE, 443)
    assert not net.may(A, DATABASE, 5432)


def test_catalogue_alone_reaches_a_private_mail_server():
    server = ["--set-json", 'network.mail=[{"cidr": "10.60.0.0/16", "ports": [587]}]']
    mail = ["--set-json", 'lab.mail={"host": "smtp.lab.example", "sender": "lab@lab.example"}']
    there = End("mail", "10.60.1.1")
    assert not network("kind", *server).may(CATALOGUE, there, 587)
    net = network("kind", *server, *mail)
    assert net.may(CATALOGUE, there, 587)
    assert not any(net.may(who, there, 587) for who in (A, WORKER, USAGE, DATA, HUB))


def test_internet_may_be_closed():
    net = network("cnes", "--set", "network.internet=false")
    for who in (A, WORKER, HARVEST, DATA, HUB):
        assert not net.may(who, PUBLIC, 443)
    assert net.may(HUB, LOGIN, 443)
    assert net.may(DATA, DATALAKE, 443)


@pytest.mark.parametrize("example", EXAMPLES)
def test_without_policies_all_is_open(example):
    """The negative control of the evaluator."""
    net = network(example, "--set", "network.enabled=false")
    assert net.policies == ()
    assert net.may(A, B, 8888)
    assert net.may(A, METADATA, 80)


_PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
_HUB_LABELS = {"app": "jupyterhub", "release": "lab"}


def daskhub() -> Network:
    """The policies that zero-to-jupyterhub makes by its defaults; dask-gateway makes none."""

    def policy(component: str, ingress: list, egress: list) -> dict:
        selector = {"matchLabels": {**_HUB_LABELS, "component": component}}
        spec = {"podSelector": selector, "policyTypes": ["Ingress", "Egress"], "ingress": ingress, "egress": egress}
        return {"metadata": {"name": component}, "spec": spec}

    def to(component: str, port: int) -> dict:
        return {
            "to": [{"podSelector": {"matchLabels": {**_HUB_LABELS, "component": component}}}],
            "ports": [{"port": port}],
        }

    def labelled(name: str, port: int | str) -> dict:
        return {
            "from": [{"podSelector": {"matchLabels": {f"hub.jupyter.org/network-access-{name}": "true"}}}],
            "ports": [{"port": port}],
        }

    names = {
        "to": [{"ipBlock": {"cidr": c}} for c in _PRIVATE],
        "ports": [{"port": 53, "protocol": p} for p in ("UDP", "TCP")],
    }
    public = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [*_PRIVATE, "169.254.169.254/32"]}}]}
    everywhere = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}
    return Network(
        (
            policy(
                "singleuser-server",
                [labelled("singleuser", "notebook-port")],
                [to("hub", 8081), to("proxy", 8000), names, public],
            ),
            policy("hub", [labelled("hub", 8081)], [to("proxy", 8001), to("singleuser-server", 8888), everywhere]),
            policy(
                "proxy",
                [{"ports": [{"port": 8000}]}, labelled("proxy-api", 8001)],
                [to("hub", 8081), to("singleuser-server", 8888), everywhere],
            ),
        )
    )


def test_helm_chart_445_is_seen_in_daskhubs_defaults():
    """dask/helm-chart#445: a kernel does not reach its cluster; hub and proxy do not reach the gateway where ipBlock means no pods (Cilium)."""
    net = daskhub()
    labelled = End(A.name, A.address, {**A.labels, "hub.jupyter.org/network-access-hub": "true"}, ports=A.ports)
    assert net.may(labelled, HUB, 8081), "the hub itself works"
    assert net.may(labelled, PROXY, 8000)
    assert not net.may(labelled, TRAEFIK, 8000), "the issue"
    for who in (HUB, PROXY):
        with pytest.raises(Split, match="True where ipBlock means pods too, else False"):
            net.may(who, TRAEFIK, 8000)
        assert not net.opens(who, TRAEFIK, 8000, blocks_mean_pods=False), "as reported with Cilium"
    # And what nobody keeps there: dask-gateway has no policies.
    assert net.may(WORKER, METADATA, 80)
    assert net.may(WORKER, End("database", "10.30.2.10"), 5432)
    assert network("cnes").may(labelled, TRAEFIK, 8000), "ours"
