"""What an auditor would run, check by check, upon the configuration of production.yaml; each beside a configuration that is wrong in
just that, so that a check that finds nothing is known to look.

Those that need what runs are with that: `ELSEWHERE` names them.
"""

from __future__ import annotations

import ast
import copy
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import yaml
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from geodes_lab.policy.lab import load
from geodes_lab.policy.people import decide
from geodes_lab.policy.reading import Refused
from hub.installation import installation
from hub.servers import sharing, spawning
from tests.support.chart import charting
from tests.support.chart.netpol import End, Network
from tests.support.chart.restricted import beyond, violations
from tests.support.paths import TOP

ELSEWHERE = {
    7: ["integration/attacks/test_people.py::test_no_refresh_token_where_a_user_looks", "integration/hub/test_oidc.py::test_what_the_provider_gave_is_encrypted_and_in_no_log"],
    8: ["integration/attacks/test_people.py::test_requests_of_another_site", "integration/attacks/test_people.py::test_server_and_hub_api_of_another"],
    11: ["integration/chart/test_hub.py::test_pods_of_every_size", "integration/chart/test_pods.py::test_pods_of_dask"],
    12: ["integration/chart/test_network.py::test_table"],
    14: ["integration/cluster/test_gateway.py::test_user_sees_stops_and_enters_no_cluster_of_another", "integration/cluster/test_gateway.py::test_dashboard_is_closed_to_who_has_its_address"],
    15: ["integration/cluster/test_gateway.py::test_workers_carry_no_key_of_another_user"],
    16: ["integration/attacks/test_people.py::test_shared_folder_is_read_only"],
    18: ["integration/attacks/test_people.py::test_tokens_of_a_stopped_server_end_with_it"],
}  # fmt: skip
pytestmark = pytest.mark.attack

# With these one becomes another, or reads what only the hub may.
DANGEROUS = {
    "admin:users", "admin:servers", "admin:auth_state", "admin:services", "admin:groups", "tokens", "access:servers", "users", "shutdown",
    "inherit", "admin:server_state",
}  # fmt: skip


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    """The operator's example, with its secrets, on this machine."""
    for name in [n for n in os.environ if n.startswith("GEODES_LAB_")]:
        monkeypatch.delenv(name)
    state = tmp_path / "state"
    (state / "secrets").mkdir(parents=True, mode=0o700)
    (state / "secrets" / "client_secret").write_text("x" * 40)
    (state / "secrets" / "client_secret").chmod(0o600)
    text = (TOP / "hub" / "production.yaml").read_text().replace("/var/lib/geodes-lab", str(state))
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    monkeypatch.setenv("GEODES_LAB_SETTINGS", str(path))
    return path


@pytest.fixture
def config(file) -> Config:
    before = os.umask(0o022)
    try:
        return PyFileConfigLoader(str(TOP / "hub" / "jupyterhub_config.py")).load_config()
    finally:
        os.umask(before)


def login(c: Config) -> list[str]:
    """1: who enters."""
    oidc = c.Oidc
    return [
        *(["a dummy login"] if "dummy" in str(c.JupyterHub.authenticator_class).lower() else []),
        *(["everybody enters"] if oidc.get("allow_all") or oidc.get("allow_existing_users") else []),
        *(["no group is wanted"] if not oidc.get("allowed_groups") or not oidc.get("manage_groups") else []),
        *(["names enter"] if oidc.get("allowed_users") or oidc.get("admin_users") else []),
    ]


def transport(c: Config) -> list[str]:
    """2: the provider is who it says, and a code that is caught is of no use."""
    return [k for k in ("validate_server_cert", "enable_pkce") if c.Oidc.get(k) is not True]


def entrance(c: Config) -> list[str]:
    """3: nobody enters another's server, admins included."""
    found = [f"{r['name']}: {s}" for r in c.JupyterHub.load_roles for s in r["scopes"] if s in DANGEROUS]
    found += ["admin_access"] if c.JupyterHub.get("admin_access") else []
    return found + (["JupyterHub's own admins"] if c.Oidc.get("admin_groups") or c.Oidc.get("admin_users") else [])


def services(c: Config) -> list[str]:
    """4: services have scopes, and only those."""
    roles = {s: r for r in c.JupyterHub.load_roles for s in r.get("services", ())}
    found = [s["name"] for s in c.JupyterHub.services if s.get("admin") or s["name"] not in roles]
    return found + [f"{s}: {scope}" for s, r in roles.items() for scope in r["scopes"] if scope in DANGEROUS]


def server_tokens(c: Config) -> list[str]:
    """5: what a server's token may."""
    # A fresh access token of its own user, and nothing else (hub/login/tokens.py); the names of the user's own groups, to share with them.
    fine = re.compile(
        r"users:activity!server|access:servers!server|read:users:name!user|access:services!service=[\w-]+|custom:geodes-lab:token"
        r"|shares!server|read:groups:name"
    )
    return [s for s in c.Spawner.get("server_token_scopes", ["everything"]) if not fine.fullmatch(s)]


def encrypted(c: Config) -> list[str]:
    """6: what the provider gave is kept encrypted, by keys from a secret."""
    keys = c.CryptKeeper.get("keys", []) if "CryptKeeper" in c else []
    written = Path(os.environ["GEODES_LAB_SETTINGS"]).read_text()
    return [
        *(["not kept encrypted"] if not c.Oidc.get("enable_auth_state") or not keys else []),
        *(["a key in the file"] if any(k in written for k in keys) else []),
        *(["a weak key"] if any(len(bytes.fromhex(k)) < 32 for k in keys) else []),
    ]


def no_refresh_token(c: Config) -> list[str]:
    """7: no way from what the provider gave into a server; tests/integration/attacks/test_people.py looks at running ones."""
    found = [k for k in ("auth_state_hook",) if c.Spawner.get(k)]
    return found + [k for k in c.Spawner.environment if re.search("REFRESH|CLIENT_SECRET|CRYPT|AUTH_STATE", k)]


def people_apart(c: Config) -> list[str]:
    """8: a host name each, with cookies that no neighbour can plant; what users write configures no server."""
    host = urlsplit(c.JupyterHub.get("subdomain_host", ""))
    return [
        *(["one origin for all"] if not host.hostname else []),
        *(
            ["cookies of neighbours"]
            if host.scheme == "https" and c.JupyterHub.get("cookie_host_prefix_enabled") is not True
            else []
        ),
        *(["users configure their servers"] if c.Spawner.get("disable_user_config") is not True else []),
    ]


def loopback_or_tls(c: Config) -> list[str]:
    """10: what listens elsewhere has TLS."""
    addresses = [c.JupyterHub.bind_url, c.JupyterHub.hub_bind_url, c.ConfigurableHTTPProxy.api_url]
    addresses += [s["url"] for s in c.JupyterHub.services if "url" in s]
    return [a for a in addresses if urlsplit(a).hostname != "127.0.0.1" and not c.JupyterHub.get("ssl_cert")]


def shared_is_read_only(c: Config) -> list[str]:
    """16: a server writes into homes, the folders of their sockets and of groups, and into nothing else."""
    told = c.SystemdSpawner.unit_extra_properties if "SystemdSpawner" in c else {}
    places = f"{installation().homes} /run/geodes-lab {installation().lab.home.groups}".strip()
    return [
        *(["the system"] if told.get("ProtectSystem") != "strict" else []),
        *([told.get("ReadWritePaths", "all")] if told.get("ReadWritePaths") != places else []),
    ]


def metrics(c: Config) -> list[str]:
    """17: metrics are for who shows who they are."""
    return [] if c.JupyterHub.get("authenticate_prometheus") is True else ["metrics are open"]


def set_(path: str, value: object) -> Callable[[Config], None]:
    def damage(c: Config) -> None:
        *parents, last = path.split(".")
        place = c
        for part in parents:
            place = place[part]
        place[last] = value

    return damage


def role(scope: str) -> Callable[[Config], None]:
    return lambda c: c.JupyterHub.load_roles[0]["scopes"].append(scope)


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        (login, set_("JupyterHub.authenticator_class", "dummy")),
        (login, set_("Oidc.allow_all", True)),
        (login, set_("Oidc.allowed_groups", set())),
        (login, set_("Oidc.manage_groups", False)),
        (transport, set_("Oidc.validate_server_cert", False)),
        (transport, set_("Oidc.enable_pkce", False)),
        (entrance, role("access:servers")),
        (entrance, set_("Oidc.admin_groups", {"geodes/operators"})),
        (services, lambda c: c.JupyterHub.services.append({"name": "old", "admin": True})),
        (services, lambda c: c.JupyterHub.load_roles.append({"name": "x", "services": ["usage"], "scopes": ["admin:users"]})),
        (server_tokens, lambda c: c.Spawner.server_token_scopes.append("inherit")),
        (server_tokens, lambda c: c.Spawner.pop("server_token_scopes")),
        (encrypted, set_("Oidc.enable_auth_state", False)),
        (encrypted, set_("CryptKeeper.keys", [])),
        (encrypted, set_("CryptKeeper.keys", ["00ff"])),
        (no_refresh_token, set_("Spawner.auth_state_hook", print)),
        (no_refresh_token, set_("Spawner.environment", {"REFRESH_TOKEN": "x"})),
        (people_apart, set_("Spawner.disable_user_config", False)),
        (people_apart, set_("JupyterHub.subdomain_host", "")),
        (people_apart, set_("JupyterHub.cookie_host_prefix_enabled", False)),
        (loopback_or_tls, set_("JupyterHub.bind_url", "http://0.0.0.0:80")),
        (loopback_or_tls, lambda c: c.JupyterHub.services.append({"name": "x", "url": "http://10.0.0.1:1"})),
        (shared_is_read_only, set_("SystemdSpawner.unit_extra_properties", {})),
        (metrics, set_("JupyterHub.authenticate_prometheus", False)),
    ],
)  # fmt: skip
def test_configuration_and_its_negative_control(config, check, damage):
    assert check(config) == []
    wrong = copy.deepcopy(config)
    damage(wrong)
    assert check(wrong), f"{check.__doc__} does not see it"


def test_1_person_without_groups_is_refused_with_a_reason(file):
    lab = load(file)
    refused = decide({"preferred_username": "nora"}, lab)
    assert not refused.accepted
    assert "did not send your groups" in refused.sentence(lab.contact)
    assert decide({"preferred_username": "nora", "groups": ["/geodes/users"]}, lab).accepted, "the control"


def test_9_secrets_are_for_the_hub_alone(file, config):
    here = installation()
    for name in ("client_secret", "crypt_keys"):
        assert (here.state / "secrets" / name).stat().st_mode & 0o077 == 0
        (here.state / "secrets" / name).chmod(0o640)
        with pytest.raises(Refused, match="Other accounts can read the secret"):
            here.secret(name)
    with pytest.raises(Refused, match="cannot be read"):
        here.secret("missing")


def test_9_what_the_hub_makes_is_for_the_hub_alone(file):
    """The database and the rest are made after the configuration has run; tests/integration/hub/test_oidc.py looks at a running hub's."""
    before = os.umask(0o022)
    try:
        PyFileConfigLoader(str(TOP / "hub" / "config.d" / "10-hub.py")).load_config()
        assert os.umask(0o022) == 0o077
    finally:
        os.umask(before)


def spawner(wish: object, *groups: str) -> SimpleNamespace:
    return SimpleNamespace(
        user=SimpleNamespace(name="alice", groups=[SimpleNamespace(name=g) for g in groups]),
        user_options={"size": wish, "mem_limit": "1T", "image": "evil"} if wish else {},
        environment={},
        mem_limit=None,
        cpu_limit=None,
    )


@charting.needs_helm
def test_11_pods_have_no_power():
    """Those that the chart itself describes."""
    made = charting.pods(charting.rendered("cnes"))
    assert len(made) >= 7
    for name, pod in made.items():
        assert [*violations(pod["spec"]), *beyond(pod["spec"])] == [], name
        first = {"name": "first", "image": "x:1", "securityContext": {"privileged": True}}
        assert "first: privileged" in list(violations({**pod["spec"], "initContainers": [first]})), "the control"


@charting.needs_helm
def test_12_people_do_not_reach_each_other():
    """The heart of the table."""
    documents = charting.rendered("cnes")
    net = Network(tuple(d for d in documents if d["kind"] == "NetworkPolicy"))
    a, b = (
        End(n, f"10.2.0.{i}", {"app": "jupyterhub", "component": "singleuser-server", "release": "lab"})
        for i, n in enumerate("ab", 1)
    )
    scheduler = End(
        "b's scheduler", "10.2.0.3", {"gateway.dask.org/cluster": "b", "app.kubernetes.io/component": "dask-scheduler"}
    )
    hub = End("hub", "10.2.0.4", {"app": "jupyterhub", "component": "hub", "release": "lab"})
    kept = [
        (b, 8888),
        (scheduler, 8786),
        (End("database", "10.30.2.10"), 5432),
        (End("metadata", "169.254.169.254"), 80),
    ]
    assert not any(net.may(a, target, port) for target, port in kept)
    assert net.may(a, hub, 8081)
    assert all(Network(()).may(a, target, port) for target, port in kept), "the control"


def test_13_sizes_are_enforced_whatever_a_request_says(file):
    for wish in ("L", "GPU", "nonsense", ["S"], {"memory": 1}):
        with pytest.raises(spawning.SpawnRefused, match=r"You cannot use the size .*: you can choose S, M"):
            spawning._size(one := spawner(wish, "geodes/users"), spawning.sizes(one))
    one = spawner("M", "geodes/users")
    spawning._size(one, spawning.sizes(one))
    assert (one.mem_limit, one.cpu_limit, one.user_options) == (16 * 2**30, 4.0, {"size": "M"})
    assert one.environment["CUDA_VISIBLE_DEVICES"] == ""
    one = spawner("L", "geodes/users", "geodes/heavy")
    spawning._size(one, spawning.sizes(one))
    assert one.cpu_limit == 16, "the control: with the group it is had"
    one = spawner(None, "geodes/users")
    spawning._size(one, spawning.sizes(one))
    assert one.user_options == {"size": "S"}
    one = spawner(None, "geodes/users")
    one.user_options = {"profile": "M"}
    spawning._size(one, spawning.sizes(one))
    assert one.user_options == {"size": "M"}, "what the hub kept of a server of before"
    with pytest.raises(spawning.SpawnRefused, match="none of your groups has a size"):
        spawning._size(one := spawner(None), spawning.sizes(one))


def test_13_form_shows_what_the_person_may_have(file):
    text = spawning.form(spawner(None, "geodes/users"))
    assert 'value="M"' in text
    assert 'value="L"' not in text
    assert 'value="L"' in spawning.form(spawner(None, "geodes/users", "geodes/heavy"))
    assert spawning.form(spawner(None)) == "", "no choice, no form"
    assert spawning.chosen({"size": ["M"], "image": ["evil"]}) == {"size": "M"}


def test_19_versions_are_pinned_with_hashes_and_audited():
    lines = [line for line in (TOP / "requirements.lock").read_text().splitlines() if line and not line[0].isspace()]
    assert all(re.match(r"[\w.\[\]-]+==\S+", line) for line in lines)
    shown = subprocess.check_output(["make", "-n", "audit"], cwd=TOP, text=True)
    assert re.search(r"-m tests\.audit requirements\.lock .*helm/images/uv\.txt", shown), (
        "tests/integration/test_audit.py shows what it does"
    )
    assert "pytest -m attack" in shown
    assert not re.match(r"[\w.\[\]-]+==\S+", "numpy>=2"), "the control"


def test_example_keeps_no_secret():
    text = (TOP / "hub" / "production.yaml").read_text()
    told = yaml.safe_load(text)
    assert "client_secret" not in told["login"]["oidc"]
    assert not re.search(r"[0-9a-f]{32}", text)


def test_checks_that_need_what_runs_are_there():
    for names in ELSEWHERE.values():
        for file, name in (n.split("::") for n in names):
            assert attacks(TOP / "tests" / file).get(name), (
                f"{file}::{name} is not there, or make audit does not run it"
            )


# What a test of something else is called that attacks it.
_ATTACKS = re.compile(
    r"attack|evil|hostile|forged|smuggl|stranger|bombs|(of|by)_another(_site|_user|$)|leads_around|gets_nothing|squat|travers|stolen"
)


def attacks(path: Path) -> dict[str, bool]:
    """The tests of a file, and whether `make audit` runs each: by a mark of its own, or of the whole file."""

    def marked(node: ast.AST) -> bool:
        return any(isinstance(n, ast.Attribute) and n.attr == "attack" for n in ast.walk(node))

    tree = ast.parse(path.read_text())
    whole = any(
        isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "pytestmark" and marked(n.value) for n in tree.body
    )
    tests = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]
    return {n.name: whole or any(map(marked, n.decorator_list)) for n in tests}


def test_make_audit_runs_every_attack(tmp_path):
    wholes = (
        "integration/attacks/", "integration/chart/test_auditor", "hub/test_bounds", "hub/services/catalogue/test_catalogue_attacks",
        "integration/hub/test_confined", "hub/services/test_data_gate", "hostile/test_catalogue", "hostile/test_display", "hostile/test_files",
        "hostile/test_hdf5", "hostile/test_rasters", "hostile/test_zarr", "storage/test_mirror",
        "credentials/test_origin", "util/test_ownership", "catalog/test_quicklook",
    )  # fmt: skip
    tests = {path.relative_to(TOP / "tests").as_posix(): path for path in sorted((TOP / "tests").rglob("test_*.py"))}
    assert all(any(name.startswith(whole) for name in tests) for whole in wholes)
    left = [
        f"{file}::{name}"
        for file, path in tests.items()
        for name, runs in attacks(path).items()
        if not runs and (file.startswith(wholes) or _ATTACKS.search(name))
    ]
    assert left == [], "mark them with pytest.mark.attack"
    control = tmp_path / "test_x.py"
    control.write_text(
        "import pytest\n\ndef test_forged():\n    pass\n\n@pytest.mark.attack\ndef test_evil():\n    pass\n"
    )
    assert attacks(control) == {"test_forged": False, "test_evil": True}


def test_groups_that_are_spelt_alike_share_each_by_a_role_of_its_own():
    names = [sharing.role(group)["name"] for group in ("a/b", "a-b", "A B", "équipe", "项目")]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9\-_~.]{1,253}[a-z0-9]", name) for name in names)
