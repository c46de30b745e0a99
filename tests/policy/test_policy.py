"""The operator's file and its rules: what is misspelt is refused, who enters is decided, and each decision has its reason."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodes_lab.policy.groups import Dask, Quota
from geodes_lab.policy.lab import Lab, load
from geodes_lab.policy.people import NAME, decide, holding, rights
from geodes_lab.policy.reading import Refused, read
from geodes_lab.policy.servers import Home
from geodes_lab.policy.units import Bytes, Seconds
from geodes_lab.util import executable
from tests.support.paths import TOP

OIDC = {"issuer": "https://sso.example.org/realms/geodes", "client_id": "lab"}
FILE = {
    "contact": "desk@example.org",
    "address": "https://lab.example.org",
    "login": {"kind": "oidc", "oidc": {**OIDC, "claims": {"groups": ["groups", "realm_access.roles"]}}, "blocked": ["mallory"]},
    "servers": {"kind": "accounts"},
    "datalake": {"gate": True, "endpoint": "https://s3.example.org"},
    "profiles": {"S": {"title": "Small"}, "M": {"title": "Medium", "memory": "8 GiB"}, "GPU": {"title": "GPU", "gpus": 1}},
    "groups": {
        "geodes/admins": {"admin": True, "profiles": ["S", "M"]},
        "geodes": {"profiles": ["S"], "dask": {"clusters": 1, "cores": 4}, "quota": {"core_hours": 100, "storage": "20 GiB"}},
        "gpu": {"enter": False, "profiles": ["GPU"], "dask": {"clusters": 3}, "quota": {"core_hours": 500, "storage": "10 GiB"}},
    },
    "restricted": {"PLEIADES": {"groups": ["geodes/pleiades"], "places": ["pleiades", "mixed/secret/"]}},
}  # fmt: skip


def lab(**more) -> Lab:
    return read(Lab, {**FILE, **more}, "")


def changed(path: str, value: object) -> dict:
    """The file with one line changed."""
    whole = json.loads(json.dumps(FILE))
    *parents, last = path.split(".")
    place = whole
    for part in parents:
        place = place[part]
    place[last] = value
    return whole


def test_people_and_services_have_host_names_where_more_than_one_logs_in():
    told = lab()
    assert told.apart
    assert told.warnings == ()
    assert (told.origin(), told.origin("home")) == ("https://lab.example.org", "https://home--service.lab.example.org")
    assert lab(address="https://lab.example.org:8443/").origin("usage") == "https://usage--service.lab.example.org:8443"
    assert read(Lab, {}, "").apart is False, "one person, on loopback"
    one = lab(subdomains=False)
    assert (one.apart, one.origin("home")) == (False, "")
    (sentence,) = one.warnings
    assert sentence.startswith("subdomains is false: all pages of the lab have the same origin")
    for address in ("", "https://192.0.2.7", "https://[2001:db8::1]:8443", "lab.example.org"):
        with pytest.raises(Refused, match="users have host names below it"):
            lab(address=address)
        assert not lab(address=address, subdomains=False).apart


def test_doctor_says_what_the_operators_choices_cost(tmp_path):
    path = tmp_path / "lab.yaml"
    doctor = [str(Path(sys.prefix) / "bin" / "geodes-lab"), "doctor", "--settings", str(path)]

    def told(**more) -> subprocess.CompletedProcess[str]:
        path.write_text(yaml.safe_dump({**FILE, **more}))
        return subprocess.run(doctor, capture_output=True, text=True)

    fine, one, refused = told(), told(subdomains=False), told(subdomain=False)
    closed = executable.fault(sys.executable, modules=("geodes_lab",))  # as this machine has it, if root asks
    assert (fine.returncode, one.returncode, refused.returncode) == (int(bool(closed)), int(bool(closed)), 1)
    can = f"{path} can be read: people of 3 groups, servers of the kind accounts.\n"
    assert fine.stdout.startswith(f"failed    {closed}\n" if closed else "")
    assert fine.stdout.endswith(can)
    assert "warning   subdomains is false: " in one.stdout
    assert "did you mean 'subdomains'?" in refused.stderr


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("groups.geodes.profile", ["S"], "groups.geodes.profile is not known: did you mean 'profiles'?"),
        ("logins", {}, "logins is not known: did you mean 'login'?"),
        ("groups.geodes.profiles", ["XL"], "groups.geodes has the profile 'XL', which is not in `profiles`"),
        ("profiles.S.memory", "4 gigs", "profiles.S.memory: '4 gigs' is not a size such as 4 GiB"),
        ("profiles.S.cores", "many", "profiles.S.cores is 'many': it must be a number"),
        ("profiles.S", {}, "profiles.S.title is missing"),
        ("login.oidc.refresh", 300, "login.oidc.refresh: 300 is not a time such as 90 min"),
        ("login.oidc.issuer", "http://sso.example.org", "is not https"),
        ("login.kind", "saml", "login.kind is 'saml': it must be one of link, oidc"),
        ("login.kind", "link", "kind: oidc needs the section `oidc`"),
        ("servers.kind", "process", "runs all people as one user"),
        ("listen", "http://0.0.0.0:8000", "without TLS"),
        ("groups", {"geodes": {"enter": False}}, "gives nobody access"),
        ("groups.geodes.enter", "yes please", "it must be true or false"),
        ("datalake.gate", False, "restricted names places, and only the gate can protect them"),
        ("datalake.endpoint", "", "datalake.gate needs the datalake's endpoint or folder"),
        ("address", "", "address is not given: users have host names below it (subdomains)"),
    ],
)
def test_what_cannot_be_is_refused_by_its_line(tmp_path, path, value, sentence):
    file = tmp_path / "lab.yaml"
    file.write_text(yaml.safe_dump(changed(path, value)))
    with pytest.raises(Refused) as refused:
        load(file)
    assert sentence in str(refused.value)
    assert str(file) in str(refused.value)


def test_file_that_is_not_there_or_no_yaml(tmp_path):
    with pytest.raises(Refused, match=r"no\.yaml cannot be read"):
        load(tmp_path / "no.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(Refused, match="is not valid YAML"):
        load(tmp_path / "bad.yaml")


def test_local_lab_is_for_one_person_on_loopback():
    for wrong in ({"listen": "http://0.0.0.0:80", "behind_tls": True}, {"servers": {"kind": "accounts"}}):
        with pytest.raises(Refused, match="one person on loopback"):
            read(Lab, wrong, "")


@pytest.mark.parametrize("name", ["lab.yaml", "production.yaml"])
def test_files_that_come_with_the_lab_are_read(name):
    assert load(TOP / "hub" / name).name


def test_example_has_every_line_there_is():
    text = (TOP / "hub" / "production.yaml").read_text()

    def names(kind) -> set[str]:
        from dataclasses import fields, is_dataclass
        from typing import get_args, get_type_hints

        found = set()
        for f in fields(kind):
            found.add(f.name)
            hint = get_type_hints(kind)[f.name]
            for inner in [hint, *get_args(hint)]:
                found |= names(inner) if is_dataclass(inner) else set()
        return found

    assert [n for n in sorted(names(Lab)) if f"{n}:" not in text] == []


@pytest.mark.parametrize(
    ("claims", "code", "rule"),
    [
        ({"preferred_username": "Alice", "groups": ["/geodes/theia"]}, "accepted", "groups.geodes"),
        ({"preferred_username": "alice", "realm_access": {"roles": ["geodes"]}}, "accepted", "groups.geodes"),
        ({"preferred_username": "alice", "groups": "gpu, geodes"}, "accepted", "groups.geodes"),
        ({"preferred_username": "alice", "groups": [{"path": "/geodes/admins"}]}, "accepted", "groups.geodes/admins"),
        ({"preferred_username": "alice", "groups": ["gpu"]}, "no rule", "groups"),
        ({"preferred_username": "alice", "groups": ["/other/geodes"]}, "no rule", "groups"),
        ({"preferred_username": "alice", "groups": []}, "no groups", "groups"),
        ({"preferred_username": "alice"}, "no claim", "login.oidc.claims.groups"),
        ({"preferred_username": "alice", "groups": [1]}, "bad claim", "login.oidc.claims.groups"),
        ({"groups": ["geodes"]}, "no name", "login.oidc.claims.name"),
        ({"preferred_username": "al/ice", "groups": ["geodes"]}, "bad name", "login.oidc.claims.name"),
        ({"preferred_username": "mallory", "groups": ["geodes"]}, "blocked", "login.blocked"),
    ],
)
def test_decision_and_the_line_that_made_it(claims, code, rule):
    decision = decide(claims, lab())
    assert (decision.code, decision.rule) == (code, rule)
    for language in ("en", "fr"):
        said = decision.sentence("desk@example.org", language)
        assert "{" not in said
        assert "desk@example.org" in said or decision.accepted


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["preferred_username", "groups", "realm_access"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["geodes", "/geodes/admins"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6)))  # fmt: skip
def test_any_claims_get_a_decision_and_only_rules_accept(claims):
    decision = decide(claims, lab())
    if decision.accepted:
        assert NAME.fullmatch(decision.name)
        assert decision.groups & {"geodes", "geodes/admins"}


def test_rights_are_of_all_groups_and_the_largest_of_each():
    may = rights({"geodes", "gpu"}, lab())
    assert may.profiles == ("S", "GPU")
    assert (may.dask.clusters, may.dask.cores) == (3, 4), "gpu says no cores, and grants none"
    assert (may.quota.core_hours, may.quota.storage) == (500, 20 * 2**30)
    assert not may.admin
    assert not may.restricted
    assert rights({"geodes", "geodes/pleiades"}, lab()).restricted == {"PLEIADES"}
    assert rights({"geodes", "geodes/admins"}, lab()).quota.core_hours == 100, "a group that says no limit lifts none"
    assert rights({"geodes/admins"}, lab()).quota.core_hours is None, "where no group says one there is none"
    none = rights(set(), lab())
    assert (none.profiles, none.dask.clusters) == ((), 0)


GRANTS = st.fixed_dictionaries(
    {},
    optional={
        "dask": st.fixed_dictionaries(
            {}, optional={"clusters": st.integers(0, 9), "cores": st.integers(0, 99), "memory": st.integers(1, 10**12)}
        ),
        "quota": st.fixed_dictionaries(
            {},
            optional={
                "core_hours": st.integers(0, 999),
                "memory_hours": st.integers(0, 999),
                "read": st.integers(1, 10**15),
                "storage": st.integers(1, 10**15),
            },
        ),
        "unlimited": st.booleans(),
    },
)


@given(st.lists(GRANTS, min_size=1, max_size=5), GRANTS)
def test_limits_are_those_that_some_group_says(several, one_more):
    """For any groups: what a group does not say changes no limit of another, and what it says lowers none."""
    groups = {f"g{n}": grant for n, grant in enumerate([*several, one_more])}
    whole = lab(groups=groups, restricted={})
    before, after = rights(set(groups) - {f"g{len(several)}"}, whole), rights(set(groups), whole)
    free = [any(g.get("unlimited") for g in some) for some in (several, groups.values())]
    for part, had, has in (("dask", before.dask, after.dask), ("quota", before.quota, after.quota)):
        for name, value in vars(has).items():
            said = [g[part][name] for g in groups.values() if name in g.get(part, {})]
            if part == "quota" and free[1]:
                assert value is None
                continue
            assert value == max(said) if said else value == getattr({"dask": Dask(), "quota": Quota()}[part], name)
            silent = name not in one_more.get(part, {})
            if silent and free[0] == free[1]:
                assert value == getattr(had, name), "it grants nothing, and takes nothing"
            elif getattr(had, name) is not None and any(name in g.get(part, {}) for g in several):
                assert value >= getattr(had, name)


def test_quota_of_homes_holds_where_no_group_says_another():
    told = lab(
        home={"quota": "1 GiB"}, groups={"a": {}, "b": {"quota": {"storage": "512 MiB"}}, "free": {"unlimited": True}}
    )
    assert rights({"a"}, told).quota == Quota(storage=Bytes(2**30))
    assert rights({"a", "b"}, told).quota.storage == 2**29, "a group's replaces it, smaller or larger"
    assert rights({"b", "free"}, told).quota == Quota()
    assert rights((), Lab(home=Home(quota=Bytes(2**30)))).quota == Quota(storage=Bytes(2**30)), (
        "the only person's disk fills too"
    )


def test_who_has_one_core_hour_has_it_with_any_group_beside():
    """What the doctor once said of such a person was: no quota, and 8 cores."""
    own = {"profiles": ["S"], "dask": {"clusters": 1, "cores": 1}, "quota": {"core_hours": 1}}
    other = {"enter": False, "profiles": ["GPU"]}
    may = rights({"students", "project"}, lab(groups={"students": own, "project": other}))
    assert (may.quota.core_hours, may.dask.cores, may.profiles) == (1, 1, ("S", "GPU"))
    lifted = {**other, "unlimited": True}
    assert rights({"students", "project"}, lab(groups={"students": own, "project": lifted})).quota == Quota()


def test_places_of_restricted_collections_are_whole_names():
    held = lambda place: [name for name, _ in holding(place, lab())]  # noqa: E731
    assert held("pleiades/a/b.zip") == held("pleiades") == held("mixed/secret/x") == ["PLEIADES"]
    assert held("pleiades2/a") == held("mixed/secretary") == held("mixed/x") == []


@pytest.mark.parametrize(("text", "number"), [("4 GiB", 4 * 2**30), ("1.5GB", 1_500_000_000), (17, 17), ("2 kB", 2000)])
def test_sizes(text, number):
    assert Bytes.read(text) == number


def test_times_and_how_they_are_written():
    assert (Seconds.read("90 min"), Seconds.read("2 d"), Seconds.read(0)) == (5400, 172800, 0)
    assert [str(Seconds(n)) for n in (5400, 7200, 86400, 61)] == ["90 min", "2 h", "1 d", "61 s"]
    assert [str(Bytes(n)) for n in (2**30, 3 * 2**19, 5)] == ["1 GiB", "1.5 MiB", "5 B"]


def doctor(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.prefix) / "bin" / "geodes-lab"), "doctor", *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True)


def jwt(**claims) -> str:
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")  # noqa: E731
    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2ln"


def test_doctor_says_which_rule_and_why(tmp_path):
    file = tmp_path / "lab.yaml"
    file.write_text(yaml.safe_dump(FILE))
    token = jwt(preferred_username="alice", groups=["/geodes/pleiades"], exp=time.time() - 100)
    for way in (token, "-"):
        said = doctor("--claims", way, "--settings", str(file), given=token)
        assert said.returncode == 0, said.stderr
        assert "Accepted by groups.geodes." in said.stdout
        assert "Restricted collections: PLEIADES." in said.stdout
        assert "The signature was not verified" in said.stdout
        assert "expired" in said.stdout
    (tmp_path / "claims.json").write_text(json.dumps({"preferred_username": "bob", "email": "b@example.org"}))
    said = doctor("--claims", str(tmp_path / "claims.json"), "--settings", str(file))
    assert said.returncode == 1
    assert "There is no claim groups; the claims are email, preferred_username." in said.stdout
    assert "Refused by login.oidc.claims.groups." in said.stdout
    secret = "eyJhbGciOiJ.not-a-token"
    said = doctor("--claims", secret, "--settings", str(file))
    assert said.returncode == 1
    assert secret not in said.stderr + said.stdout
    assert doctor("--claims", token).returncode == 2


@pytest.mark.parametrize("name", ["\u212aevin", "ſam", "İpek", "ＪＥＡＮ", "kevin\u200b", "je\u0301an", "kevin\n"])
def test_letters_that_look_like_others_are_nobody_else(name):
    """The small letter of the Kelvin sign is k: such names are refused, and not made into others'."""
    lab = read(Lab, FILE, "")
    decision = decide({"preferred_username": name, "groups": ["geodes"], "realm_access": {"roles": []}}, lab)
    assert decision.code == "bad name"
    assert decision.name not in ("kevin", "sam", "ipek", "jean")


@given(name=st.text(max_size=12))
def test_only_ascii_becomes_a_name(name):
    decision = decide({"preferred_username": name, "groups": ["geodes"]}, read(Lab, FILE, ""))
    if NAME.fullmatch(decision.name):
        assert name.isascii()
        assert decision.name == name.lower()
