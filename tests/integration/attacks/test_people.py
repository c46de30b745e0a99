"""A second user with a real server of their own tries what an attacker would: all of it is refused, and each attempt has a
counterpart that shows it would have been seen to work."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from tests.support.hub.hubs import Browser, Person, Production, needs_accounts
from tests.support.hub.provider import Provider

pytestmark = [needs_accounts, pytest.mark.slow, pytest.mark.attack]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        running.put("alice", groups=["geodes"])
        running.put("bob", groups=["geodes"])
        yield running


@pytest.fixture(scope="module")
def hub(provider, sample) -> Iterator[Production]:
    shared = Path(os.environ.get("TMPDIR", "/tmp")) / f"geodes-lab-shared-{os.getpid()}"
    shared.mkdir(mode=0o755, exist_ok=True)
    (shared / "for-all.txt").write_text("for all")
    file = {
        "login": {"kind": "oidc", "oidc": provider.settings()},
        "servers": {"kind": "accounts"},
        "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}, "L": {"title": "Large", "cores": 64}},
        "groups": {"geodes": {"profiles": ["S"]}, "heavy": {"profiles": ["L"]}},
        "restricted": {"PEPS_S1_L1": {"groups": ["radar"], "places": ["sentinel1-grd", "sentinel1-slc"]}},
        "datalake": {"folder": str(sample / "datalake"), "gate": True},
        "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
        "home": {"shared": str(shared)},
    }
    with Production(file) as running:
        yield running
    for path in shared.iterdir():
        path.unlink()
    shared.rmdir()


@pytest.fixture(scope="module")
def alice(hub) -> Iterator[Person]:
    person = Person(hub, "alice")
    yield person
    person.kernel.stop()


@pytest.fixture(scope="module")
def bob(hub) -> Iterator[Person]:
    person = Person(hub, "bob")
    yield person
    person.kernel.stop()


def test_each_server_runs_as_an_account_of_its_own(alice, bob):
    code = "import os, getpass, pathlib; print(os.getuid(), getpass.getuser(), pathlib.Path.home())"
    one, other = alice.run(code).split(), bob.run(code).split()
    assert one[1:] == ["lab-alice", str(alice.hub.homes / "lab-alice")]
    assert other[1] == "lab-bob"
    assert 0 < int(one[0]) != int(other[0]) > 0


def test_files_of_another(alice, bob):
    alice.run("open('/'.join([__import__('os').environ['HOME'], 'letter.txt']), 'w').write('mine')")
    letter = alice.hub.homes / "lab-alice" / "letter.txt"
    read = f"print(open({str(letter)!r}).read())"
    assert alice.run(read) == "mine"
    assert "PermissionError" in bob.run(read)
    assert "PermissionError" in bob.run(f"import os; print(os.listdir({str(letter.parent)!r}))")
    assert "PermissionError" in bob.run(f"import os; print(os.listdir({str(alice.hub.homes)!r}))"), (
        "nor who else there is"
    )


def test_what_the_hub_keeps(alice, bob):
    for name in ("hub.sqlite", "cookie_secret", "secrets/crypt_keys", "secrets/client_secret"):
        path = bob.hub.state / name
        assert path.exists()
        assert "PermissionError" in bob.run(f"print(open({str(path)!r}, 'rb').read())"), name
    assert "PermissionError" in bob.run(f"print(open({str(bob.hub.file)!r}).read())")


def test_shared_folder_is_read_only(bob):
    assert (
        bob.run("print(open('/'.join([__import__('os').environ['HOME'], 'shared/for-all.txt'])).read())") == "for all"
    )
    assert "PermissionError" in bob.run("open('/'.join([__import__('os').environ['HOME'], 'shared/mine.txt']), 'w')")


def test_server_and_hub_api_of_another(alice, bob):
    def told(path: str, token: str) -> int:
        return httpx.get(f"{bob.hub.url}{path}", headers={"Authorization": f"token {token}"}).status_code

    assert told("/user/alice/api/contents", alice.token) == 200
    assert told("/user/alice/api/contents", bob.token) in (403, 404)
    for path in (
        "/hub/api/users",
        "/hub/api/users/alice",
        "/hub/api/users/alice/tokens",
        "/hub/api/services",
        "/hub/api/proxy",
    ):
        assert told(path, bob.token) in (403, 404), path
    assert told("/hub/api/users/alice", alice.token) == 200
    page = bob.browser.web.get(f"{bob.hub.url}/user/alice/lab")
    assert page.status_code in (403, 404)
    for method, path in (
        ("DELETE", "/users/alice/server"),
        ("POST", "/users/alice/tokens"),
        ("DELETE", "/users/alice"),
    ):
        assert bob.browser.api(method, path).status_code in (403, 404), path
    assert alice.run("print(1)") == "1", "it runs on"


def test_token_of_a_server_can_do_little(bob):
    code = """
        import os, httpx
        ask = httpx.Client(base_url=os.environ["JUPYTERHUB_API_URL"], headers={"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}"})
        me = ask.get("/user").json()
        print(sorted(me["scopes"]))
        name = me["name"]
        print(ask.post(f"/users/{name}/tokens", json={}).status_code, ask.get(f"/users/{name}/tokens").status_code,
              ask.delete(f"/users/{name}/server").status_code, ask.get("/users").status_code)
    """
    scopes, codes = bob.run(code).splitlines()
    assert set(codes.split()) <= {"403", "404"}
    # Of itself alone: that it is used, who it is, that it may ask the services beside the hub and for an access token, and share itself
    # with the groups of its owner.
    allowed = (
        r"access:servers!server=bob/|access:services!service=[\w-]+|read:users:\S+=bob|users:activity!\S+=bob/?|custom:geodes-lab:token"
        r"|(read:|groups:|users:|read:groups:|read:users:)?shares!server=bob/|read:groups:name!group=geodes"
    )
    told = json.loads(scopes.replace("'", '"'))
    assert [s for s in told if not re.fullmatch(allowed, s)] == []


def test_no_refresh_token_where_a_user_looks(provider, alice, bob):
    tokens = [t.token for t in provider.storage.refresh_tokens()] + [t.token for t in provider.storage.access_tokens()]
    assert len(tokens) >= 4
    seen = bob.run("import os; print(dict(os.environ))") + bob.run(
        "import subprocess; print(subprocess.run(['ps', 'auxwwe'], capture_output=True, text=True).stdout)"
    )
    assert "JUPYTERHUB_API_TOKEN" in seen
    assert not [t for t in tokens if t in seen]
    # No token of another, nor of the hub's services, in what `ps` shows: arguments of all, environments of one's own.
    theirs = alice.run("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])")
    assert len(theirs) > 20
    assert theirs not in seen
    assert alice.token not in seen
    environ = bob.run(
        """
        import glob
        for path in glob.glob('/proc/[0-9]*/environ'):
            try:
                text = open(path, 'rb').read().decode(errors='replace')
            except OSError:
                continue
            print(text.replace(chr(0), ' '))
        """
    )
    assert "JUPYTERHUB_USER=bob" in environ
    assert "JUPYTERHUB_USER=alice" not in environ
    assert "JUPYTERHUB_API_TOKEN" in environ
    assert theirs not in environ


def test_kernel_channels_of_another(alice, bob):
    """What a kernel says is on no port, where anybody subscribes to it without its key; what else listens: tests/integration/attacks/test_neighbours.py."""
    told = alice.run(
        """
        import json, pathlib, ipykernel
        info = json.loads(pathlib.Path(ipykernel.get_connection_file()).read_text())
        print(json.dumps({**info, 'file': ipykernel.get_connection_file()}))
        """
    )
    info = json.loads(told)
    assert info["transport"] == "ipc"
    assert "PermissionError" in bob.run(f"print(open({info['file']!r}).read())")
    # Not even the key, and to listen to what is published needs none, opens the folder.
    listen = """
        import socket, zmq
        with socket.socket(socket.AF_UNIX) as asked:
            try:
                asked.connect({path!r})
                print('connected')
            except OSError as error:
                print(type(error).__name__)
    """
    for channel in ("shell", "iopub", "control", "stdin", "hb"):
        path = f"{info['ip']}-{info[f'{channel}_port']}"
        assert bob.run(listen.format(path=path)) == "PermissionError", channel
        assert alice.run(listen.format(path=path)) == "connected", "the control"
    attack = """
        import zmq
        from jupyter_client.session import Session
        session = Session(key={key!r}.encode(), username='x')
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.linger = 0
        socket.connect({address!r})
        session.send(socket, 'kernel_info_request')
        print('answered' if socket.poll({wait}) else 'silent')
        socket.close()
    """
    address = f"ipc://{info['ip']}-{info['control_port']}"
    assert bob.run(attack.format(key=info["key"], address=address, wait=2000)) == "silent"
    assert alice.run(attack.format(key=info["key"], address=address, wait=15000)) == "answered", (
        "the control: with the key and the folder it would be"
    )


def test_dask_cluster_of_another(alice, bob):
    address = alice.run("import geodes_lab as gl; c = gl.attach(); print(c.scheduler.address)").splitlines()[-1]
    assert address.startswith("tls://127.0.0.1:")
    assert alice.run("print(c.submit(lambda: 41 + 1).result())") == "42"
    attack = f"""
        from distributed import Client
        from distributed.security import Security
        for address, security in ((({address!r}).replace('tls', 'tcp'), None), ({address!r}, Security.temporary())):
            try:
                with Client(address, security=security, timeout=4) as client:
                    print('in', client.submit(lambda: __import__('getpass').getuser()).result())
            except Exception as error:
                print('out', type(error).__name__)
    """
    assert [line.split()[0] for line in bob.run(attack).splitlines() if line.startswith(("in", "out"))] == [
        "out",
        "out",
    ]


def test_requests_of_another_site(alice, bob):
    web = alice.browser.web
    # Without the XSRF token a browser's cookie changes nothing.
    assert web.post(f"{alice.hub.url}/hub/api/users/alice/tokens", json={}).status_code == 403
    assert alice.browser.api("POST", "/users/alice/tokens", json={"expires_in": 5}).status_code == 201
    web.get(f"{alice.hub.url}/user/alice/lab")
    contents = f"{alice.hub.url}/user/alice/api/contents"
    assert web.post(contents, json={"type": "file"}).status_code == 403
    # Nor does a websocket from elsewhere open, though the cookie comes with it.
    cookies = "; ".join(
        f"{c.name}={c.value}" for c in web.cookies.jar if "alice" in (c.path or "") or c.name == "jupyterhub-session-id"
    )
    kernel = alice.kernel.id if hasattr(alice.kernel, "id") else ""
    path = f"/user/alice/api/kernels/{kernel or json.loads(httpx.get(contents.replace('contents', 'kernels'), headers={'Authorization': f'token {alice.token}'}).text)[0]['id']}/channels"
    assert upgraded(alice.hub, path, {"Cookie": cookies, "Origin": "https://evil.example"}) == 403
    assert upgraded(alice.hub, path, {"Authorization": f"token {alice.token}"}) == 101, "the control"
    assert upgraded(alice.hub, path, {"Authorization": f"token {bob.token}"}) in (403, 404)


@pytest.mark.parametrize(
    "then",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "/hub/../..//evil.example",
        "\thttps://evil.example",
    ],
)
def test_open_redirect(hub, alice, then):
    reply = httpx.get(
        f"{hub.url}/hub/login", params={"next": then}, cookies=alice.browser.web.cookies, follow_redirects=False
    )
    place = urlsplit(reply.headers.get("location", ""))
    assert place.netloc in ("", urlsplit(hub.url).netloc), reply.headers
    assert not reply.headers.get("location", "").startswith(("//", "/\\"))
    again = httpx.get(f"{hub.url}/hub/oauth_login", params={"next": then}, follow_redirects=False)
    assert "evil" not in again.headers["location"]


def test_size_that_is_not_allowed(hub, bob):
    browser = Browser(hub)
    browser.login("bob")
    bob_server = browser.api("POST", "/users/bob/servers/other", json={"size": "L"})
    assert bob_server.status_code in (400, 403, 404)
    person = Browser(hub)
    provider_free = person.login("alice")
    assert provider_free.status_code == 200
    limits = bob.run("import os; print(os.environ['MEM_LIMIT'], os.environ['CPU_LIMIT'])")
    assert limits == f"{2 * 2**30} 1.0"


def test_restricted_collection_at_search_at_open_and_at_s3(provider, hub, bob):
    search = "import geodes_lab as gl; print(len(gl.search({!r}, profile='lab')))"
    assert int(bob.run(search.format("PEPS_S2_L1C")).splitlines()[-1]) > 0
    assert "There is no collection" in bob.run(search.format("PEPS_S1_L1"))
    place = next(Path(hub_lake(hub)).glob("sentinel1-slc/**/*.zip")).relative_to(hub_lake(hub))
    assert "cannot be read" in bob.run(f"import geodes_lab as gl; print(gl.open_product('s3://{place}'))")
    code = f"""
        import os, httpx
        r = httpx.get(os.environ['AWS_ENDPOINT_URL'] + '/{place}', headers={{'x-amz-security-token': os.environ['AWS_SESSION_TOKEN'], 'Range': 'bytes=0-9'}})
        print(r.status_code, 'only members of radar' in r.text, len(r.content) > 5)
    """
    assert bob.run(code) == "403 True True"
    assert bob.run(f"print(open({str(Path(hub_lake(hub)) / place)!r}, 'rb').read(4))") in ("b'PK\\x03\\x04'",), (
        "the sample lies in a folder that all may read; a real datalake does not"
    )
    # What bob read is in the accounts, as counted by the gate.
    bob.run(
        "import geodes_lab as gl; gl.open_product(gl.search('PEPS_S2_L1C', profile='lab', limit=1)[0])['r60m'].to_dataset().mean().compute()"
    )
    until = time.monotonic() + 30
    mine = f"{hub.url}/services/usage/api/mine"
    while time.monotonic() < until:
        if (told := httpx.get(mine, headers={"Authorization": f"token {bob.token}"}).json())["read"]:
            break
        time.sleep(0.5)
    assert told["read"] > 0
    assert "PEPS_S1_L1" not in told["collections"], "nothing of what is restricted"
    # A member of the group gets all three; this is a third person, so that nobody's rights change meanwhile.
    provider.put("rita", groups=["geodes", "radar"])
    rita = Person(hub, "rita")
    try:
        assert int(rita.run(search.format("PEPS_S1_L1")).splitlines()[-1]) > 0
        assert "DataTree" in rita.run(f"import geodes_lab as gl; print(type(gl.open_product('s3://{place}')))")
        assert rita.run(code).startswith("206 False")
    finally:
        rita.kernel.stop()


def hub_lake(hub: Production) -> str:
    return str(yaml.safe_load(hub.file.read_text())["datalake"]["folder"])


def test_tokens_of_a_stopped_server_end_with_it(provider, hub):
    provider.put("tom", groups=["geodes"])
    tom = Person(hub, "tom")
    held = tom.run("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])")
    ask = lambda: httpx.get(f"{hub.url}/hub/api/user", headers={"Authorization": f"token {held}"}).status_code  # noqa: E731
    assert ask() == 200
    tom.kernel.stop()
    assert tom.browser.api("DELETE", "/users/tom/server").status_code in (202, 204)
    deadline = time.monotonic() + 30
    while ask() == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert ask() in (401, 403)


def upgraded(hub: Production, path: str, headers: dict[str, str]) -> int:
    """The status of an attempt to open a websocket."""
    import socket

    host = urlsplit(hub.url).netloc
    given = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    with socket.create_connection((urlsplit(hub.url).hostname, urlsplit(hub.url).port), timeout=20) as s:
        s.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{given}\r\n".encode()
        )
        return int(re.match(rb"HTTP/1\.1 (\d+)", s.recv(100)).group(1))


def test_nobody_stands_in_for_a_server(provider, hub, bob):
    """The port of a server is the hub's before the server is there, and after it has ended by itself, until nobody is led there."""
    provider.put("vera", groups=["geodes"])
    vera = Person(hub, "vera")
    server = json.loads(
        vera.run(
            "import os, json, urllib.parse; print(json.dumps([urllib.parse.urlsplit(os.environ['JUPYTERHUB_SERVICE_URL']).port, os.getppid()]))"
        )
    )
    attack = f"""
        import socket, time
        def tried():
            for options in ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)):
                for host in ('127.0.0.1', '0.0.0.0'):
                    with socket.socket() as s:
                        for option in options:
                            s.setsockopt(socket.SOL_SOCKET, option, 1)
                        try:
                            s.bind((host, {server[0]}))
                            s.listen()
                            return 'in'
                        except OSError:
                            pass
            return 'out'
        print(tried())
    """
    assert bob.run(attack) == "out"
    vera.kernel.stop()
    os.kill(server[1], 9)
    assert bob.run(attack) == "out", "the hub leads people there still"
    last = attack.replace("print(tried())", "socket.socket().bind(('127.0.0.1', 0)); print('in')")
    assert bob.run(last) == "in", "the control: other ports can be had"
