"""Other accounts of the machine beside a person's server: its ports, its sockets, what passes through it, what a link can have it do, and
the places that are taken before an account is there."""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.hub.hubs import Browser, Person, Production, needs_accounts
from tests.support.hub.provider import Provider

pytestmark = [needs_accounts, pytest.mark.slow, pytest.mark.attack]

# What stands in a browser's request, and no program behind the server may see.
SECRETS = ("cookie", "authorization", "x-xsrftoken", "x-forwarded-access-token")


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        for name in ("alice", "bob"):
            running.put(name, groups=["geodes"])
        yield running


@pytest.fixture(scope="module")
def hub(provider, sample) -> Iterator[Production]:
    file = {
        "login": {"kind": "oidc", "oidc": provider.settings()},
        "servers": {"kind": "accounts"},
        "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
        "groups": {"geodes": {"profiles": ["S"]}},
        "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
    }
    with Production(file) as running:
        yield running


@pytest.fixture(scope="module")
def alice(hub) -> Iterator[Person]:
    person = Person(hub, "alice")
    person.browser.web.get(f"{hub.url}/user/alice/lab")  # and so the server knows her browser
    yield person
    person.kernel.stop()


@pytest.fixture(scope="module")
def bob(hub) -> Iterator[Person]:
    person = Person(hub, "bob")
    yield person
    person.kernel.stop()


def uid(person: Person) -> int:
    return int(person.run("import os; print(os.getuid())"))


def processes(person: Person) -> list[psutil.Process]:
    mine, found = uid(person), []
    for process in person.hub.pids():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == mine:
                found.append(process)
    return found


# What a program of another account meets at a port: TLS that wants a certificate, pages that want a secret path, a login, or nothing at all.
PROBE = """
import concurrent.futures, http.client, json, socket, ssl
def meets(port):
    seen = set()
    for path in ("/", "/status", "/info/main/workers.html", "/metrics", "/health", "/json/counts.json", "/individual-plots.json", "/api/v1/adaptive_target",
                 "/user/alice/api/contents", "/user/alice/lab", "/statics/css/base.css", "/graph", "/ws", "/sitemap.json", "/eventstream"):
        try:
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
            asked.request("GET", path)
            seen.add(asked.getresponse().status)
        except (http.client.RemoteDisconnected, http.client.BadStatusLine, ConnectionResetError, BrokenPipeError):
            return secured(port)
    if seen == {404}:
        return "gate"
    return "login" if seen <= {302, 403, 404} and port == SERVER else f"open: {seen}"
def secured(port):
    context = ssl._create_unverified_context()
    try:
        with socket.create_connection(("127.0.0.1", port), 90) as plain, context.wrap_socket(plain) as told:
            told.sendall(b"x")
            return f"open TLS: {told.recv(99)}"
    except (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError):
        return "own"
    except ssl.SSLError as error:
        return "TLS" if "CERTIFICATE_REQUIRED" in str(error) or "HANDSHAKE_FAILURE" in str(error) else f"something else: {error}"
with concurrent.futures.ThreadPoolExecutor(20) as many:  # a process that is busy answers late: the others are asked meanwhile
    print(json.dumps(dict(zip(PORTS, many.map(meets, PORTS)))))
"""


def listening_ports(account: int) -> set[int]:
    """Where the programs of an account listen, which is on loopback alone."""
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, _, _, _, owner, *_ = line.split()
            if state == "0A" and int(owner) == account:
                assert local.startswith(("0100007F:", "0" * 24 + "01000000:")), f"{local} is not loopback"
                ports.add(int(local.rpartition(":")[2], 16))
    return ports


def test_every_port_is_closed_to_other_accounts(hub, alice, bob):
    """Server, kernel, cluster, workers, dashboards, debugger and an app: whatever listens is looked at, and what is not known fails."""
    alice.run(
        """
        import geodes_lab as gl, os, pathlib, subprocess, sys, time
        client = gl.attach(workers=1)
        client.submit(abs, -1).result(60)
        page = pathlib.Path.home() / "app.py"
        page.write_text("import panel as pn; pn.pane.Markdown('hello').servable()")
        place = os.environ["GEODES_LAB_RUNTIME"] + "/hello.sock"
        app = subprocess.Popen([sys.executable, "-m", "panel", "serve", str(page), "--unix-socket", place])
        while not os.path.exists(place):
            assert app.poll() is None
            time.sleep(0.1)
        """
    )
    server = int(alice.run("import os; print(os.environ['JUPYTERHUB_SERVICE_URL'])").split(":")[2].split("/")[0])

    def met(ports: set[int]) -> dict[str, str]:
        answer = bob.run(PROBE.replace("SERVER", str(server)).replace("PORTS", str(sorted(ports))))
        assert answer.startswith("{"), answer
        told: dict[str, str] = json.loads(answer)
        return told

    before = listening_ports(uid(alice)) | {server}  # which the hub holds for her
    told = met(before)
    unknown = {port: said for port, said in told.items() if said not in ("TLS", "gate", "login")}
    assert unknown == {}, f"the server is at {server}"
    assert set(told.values()) == {"TLS", "gate", "login"}
    assert [p for p, said in told.items() if said == "login"] == [str(server)]
    # The debugger, by which whoever connects runs code; last, since it traces all that the kernel does.
    alice.run("import debugpy; debugpy.listen(('127.0.0.1', 0))")
    new = listening_ports(uid(alice)) - before
    assert len(new) >= 2, "for clients, and for what is debugged"
    assert set(met(new).values()) == {"own"}
    # The controls: the same look finds what is open.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_answer, args=(listening,), daemon=True).start()
        port = listening.getsockname()[1]
        (said,) = met({port}).values()
        assert said.startswith("open")
    # Nor does a socket of another kind lie where others pass, or have a name without a file, which all can reach.
    paths = {c.laddr for p in processes(alice) for c in _unix(p) if c.laddr}
    assert any("-ipc-" in p for p in paths)
    assert any(p.endswith("/hello.sock") for p in paths)
    asks = f"""
        import socket
        for path in {sorted(paths)!r}:
            with socket.socket(socket.AF_UNIX) as s:
                try:
                    s.connect(path)
                    print('open', path)
                except PermissionError:
                    pass
    """
    assert bob.run(asks) == ""
    assert alice.run(asks).count("open") >= 2, "the control"


def _answer(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")


def _unix(process: psutil.Process) -> list[object]:
    with contextlib.suppress(psutil.Error):
        return process.net_connections(kind="unix")
    return []


LISTENS = """
import http.server, json, threading
heard = []
class Hears(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        heard.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
        self.send_response(200)
        for name, value in (("Set-Cookie", "theirs=1; Path=/"), ("Clear-Site-Data", '"*"'), ("Service-Worker-Allowed", "/"),
                            ("Access-Control-Allow-Origin", "https://evil.example"), ("Content-Type", "text/html")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"<p>heard</p>")
    do_POST = do_GET
    def log_message(self, *said):
        pass
listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hears)
threading.Thread(target=listening.serve_forever, daemon=True).start()
print(listening.server_port)
"""


def test_what_is_proxied_takes_no_credential_along_and_reaches_no_other_account(hub, alice, bob):
    theirs, mine = int(bob.run(LISTENS)), int(alice.run(LISTENS))
    web, root = alice.browser.web, f"{hub.url}/user/alice/proxy"
    secret = secrets.token_hex(12)
    headers = {"X-Forwarded-Access-Token": secret, "X-XSRFToken": secret, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}  # fmt: skip
    query = f"?a=1&token={secret}&access_token={secret}&%74oken={secret}"
    # A link that bob sends: his program would be given her cookies.
    for place in (
        f"/{theirs}/",
        f"/absolute/{theirs}/",
        f"/127.0.0.1:{theirs}/",
        f"/localhost:{theirs}/",
        f"/absolute/127.0.0.1:{theirs}/",
        f"/{socket.gethostname()}:{theirs}/",
        f"/[::1]:{theirs}/",
        f"/{mine}/../{theirs}/",
    ):
        told = web.get(f"{root}{place}{query}", headers=headers)
        assert told.status_code in (302, 403, 404), place
        assert "heard" not in told.text
        token = httpx.get(f"{root}{place}", headers={"Authorization": f"token {alice.token}"})
        assert token.status_code in (302, 403, 404), place
    assert bob.run("print(heard)") == "[]"
    assert "A program of another account listens at port" in web.get(f"{root}/{theirs}/", headers=headers).text
    assert web.get(f"{root}/absolute/{mine}/", headers=headers).status_code == 403
    # Her own programs answer, and are not told who asks either.
    told = web.get(f"{root}/{mine}/page{query}", headers=headers)
    assert told.status_code == 200
    assert "heard" in told.text
    assert not {"set-cookie", "clear-site-data", "service-worker-allowed", "access-control-allow-origin"} & set(
        told.headers
    )
    assert told.headers["x-content-type-options"] == "nosniff"
    httpx.get(f"{root}/{mine}/page", headers={"Authorization": f"token {alice.token}", "Accept": "text/event-stream"})
    heard = json.loads(alice.run("print(json.dumps(heard))"))
    assert [h["path"] for h in heard] == ["/page?a=1", "/page"]
    assert not [h for h in heard if set(h) & set(SECRETS)], heard
    assert secret not in json.dumps(heard)
    assert alice.token not in json.dumps(heard)
    # The program is not told where a page came from: what changes something is refused to pages of others here.
    cross = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert web.post(f"{root}/{mine}/page", headers=cross).status_code == 403
    assert (
        web.post(f"{root}/{mine}/page", headers={"Origin": hub.url, "Sec-Fetch-Site": "same-origin"}).status_code == 200
    )


def test_link_runs_no_file_and_no_name_as_code(hub, alice, bob):
    """Panel's previews run the file that an address names, wherever it is, with its name put into code."""
    mark = f"/tmp/geodes-lab-mark-{secrets.token_hex(6)}"
    trap = f"/tmp/geodes-lab-trap-{secrets.token_hex(6)}.py"
    program = f"open({mark!r}, 'w').write('run')"
    bob.run(f"open({trap!r}, 'w').write({program!r})")
    alice.run(
        f"""
        import pathlib
        home = pathlib.Path.home()
        (home / 'link.py').symlink_to({trap!r})
        (home / 'mine.py').write_text("import panel as pn; open({mark!r} + '-mine', 'w'); pn.pane.Markdown('mine').servable()")
        """
    )
    render = f"{hub.url}/user/alice/panel-preview/render"
    code = "mine.py';open('" + mark + "','w')#"
    here = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
    for path in (f"/{trap}", f"/..%2f..%2f..%2f..{trap}", f"%2f{trap}", f"/{code.replace('#', '%23')}", f"/x/{code.replace('#', '%23')}.py", "/link.py"):  # fmt: skip
        assert alice.browser.web.get(f"{render}{path}", headers=here).status_code in (400, 404), path
    for site in ("cross-site", "same-site", "none"):
        elsewhere = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
        assert alice.browser.web.get(f"{render}/mine.py", headers=elsewhere).status_code == 403
    assert alice.browser.web.get(f"{render}/mine.py").status_code == 403, "a browser that does not say"
    assert not Path(mark).exists()
    assert not Path(f"{mark}-mine").exists()
    told = alice.browser.web.get(f"{render}/mine.py", headers=here, timeout=120)
    assert told.status_code == 200, "the control"
    assert Path(f"{mark}-mine").exists()
    for path in (trap, f"{mark}-mine"):
        Path(path).unlink()


def test_socket_of_a_preview_is_for_its_owner_and_pages_of_the_lab(hub, alice, bob):
    """Panel takes everybody for logged in there, whatever the site of the page."""
    alice.run(
        "import pathlib; (pathlib.Path.home() / 'seen.py').write_text(\"import panel as pn; pn.pane.Markdown('mine').servable()\")"
    )
    socket = f"{hub.url}/user/alice/panel-preview/render/seen.py/ws"
    shake = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eA==" * 6,
        "Sec-WebSocket-Protocol": "bokeh, eyJ9",
    }  # fmt: skip

    def status(client: httpx.Client, **headers: str) -> int:
        with client.stream("GET", socket, headers=shake | headers, follow_redirects=False) as answer:
            return answer.status_code

    here = {"Origin": hub.url}  # Chromium says no Sec-Fetch-Site of a websocket, Firefox does
    with httpx.Client(timeout=60) as nobody:
        assert status(nobody, **here) in (302, 403)
    assert status(bob.browser.web, **here) in (302, 403)
    for site in ({"Sec-Fetch-Site": "cross-site"}, {}):
        assert status(alice.browser.web, Origin="https://evil.example", **site) == 403
    assert status(alice.browser.web) == 403, "no browser"
    assert status(alice.browser.web, **here) == 101, "the control"
    assert status(alice.browser.web, **here, **{"Sec-Fetch-Site": "same-origin"}) == 101, "another control"


def test_link_makes_a_notebook_of_plain_values_once_its_reader_agrees(hub, alice):
    web, place = alice.browser.web, f"{hub.url}/user/alice/geodes/notebook"
    folder = hub.homes / "lab-alice" / "notebooks"
    made = lambda: sorted(p.name for p in folder.glob("search-*"))  # noqa: E731
    same, cross = {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "cross-site", "Accept-Language": "en"}
    for search in (
        {"profile": "lab", "url": "http://elsewhere"},
        {"collections": "A", "url": "http://elsewhere.example"},
        {"collections": "A", "profile": "other"},
        {"collections": "A", "x": "1" * 501},
        {"collections": ["A"] * 101},
    ):
        assert web.get(place, params={"search": json.dumps(search)}, headers=same).status_code == 400, search
    assert web.get(place, params={"search": "[" * 3000}, headers=same).status_code == 400
    assert web.get(place, params={"search": '{"collections": "' + "A" * 17000 + '"}'}, headers=same).status_code in (
        400,
        414,
        431,
    )
    search = {"search": json.dumps({"collections": "</pre><script>alert(1)</script>"})}
    asked = web.get(place, params=search, headers=cross)
    assert asked.status_code == 200
    assert "A link from another site" in asked.text
    assert "<script>" not in asked.text
    assert "frame-ancestors 'none'" in asked.headers["content-security-policy"]
    assert made() == [], "nothing is written yet"
    fields = dict(re.findall(r'name="(\w+)"\s+(?:type="hidden"\s+)?value="([^"]*)"', asked.text))
    fields |= {k: html.unescape(v) for k, v in re.findall(r'name=(\w+) value="([^"]*)"', asked.text)}
    assert web.post(place, data={"search": fields["search"]}, headers=cross).status_code == 403, "another site's form"
    agreed = web.post(place, data=fields, headers=same, follow_redirects=False)
    assert agreed.status_code == 302, agreed.text[-500:]
    (name,) = made()
    (folder / name).write_text("mine")
    again = web.get(place, params=search, headers=same, follow_redirects=False)
    assert again.headers["location"].endswith(name)
    assert (folder / name).read_text() == "mine"


def entered(who: Browser, page: str) -> httpx.Response:
    """What somebody meets at a page of another's server, having agreed that the server learns who they are."""
    answer = who.web.get(page)
    if "oauth_login" in answer.text or "/oauth2/authorize" in str(answer.url):
        fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', answer.text))
        answer = who.web.post(str(answer.url), data={k: html.unescape(v) for k, v in fields.items()})
    return answer


SERVES = """
import asyncio, json, os, threading, tornado.web, tornado.websocket, tornado.httpserver, tornado.netutil
seen = []
class Page(tornado.web.RequestHandler):
    def get(self, path):
        seen.append({"path": self.request.uri, **{k.lower(): v for k, v in self.request.headers.get_all()}})
        self.set_cookie("theirs", "1")
        self.set_header("Access-Control-Allow-Credentials", "true")
        self.write("<p>the app</p>")
class Talk(tornado.websocket.WebSocketHandler):
    def open(self):
        seen.append({"path": self.request.uri, **{k.lower(): v for k, v in self.request.headers.get_all()}})
        self.write_message("hello")
async def serve():
    app = tornado.web.Application([("/talk", Talk), ("/(.*)", Page)])
    tornado.httpserver.HTTPServer(app).add_socket(tornado.netutil.bind_unix_socket(os.environ["GEODES_LAB_RUNTIME"] + "/guests.sock"))
    await asyncio.Event().wait()
threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
import time
while not os.path.exists(os.environ["GEODES_LAB_RUNTIME"] + "/guests.sock"):
    time.sleep(0.05)
import geodes_lab as gl
seen_by = gl.share("$GEODES_LAB_RUNTIME/guests.sock", groups=["geodes"])
print(seen_by.url)
"""


def test_app_that_is_shared_sees_no_guest_and_acts_for_none(hub, alice, bob):
    url = alice.run(SERVES).splitlines()[-1]
    assert url == f"{hub.url}/user/alice/geodes/apps/guests/"
    guest = Browser(hub)
    guest.login("bob")
    page = entered(guest, url)
    assert page.status_code == 200, page.text[-500:]
    assert "the app" in page.text
    inside = str(page.url)
    assert re.fullmatch(re.escape(url) + r"~[0-9a-f]+-[0-9a-f]{64}/", inside)
    policy = page.headers["content-security-policy"]
    assert "sandbox allow-scripts" in policy
    assert "allow-same-origin" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in page.headers
    assert "access-control-allow-credentials" not in page.headers
    secret = secrets.token_hex(12)
    guest.web.get(f"{inside}page?token={secret}&b=2", headers={"Authorization": f"token {secret}", "X-Forwarded-Access-Token": secret})  # fmt: skip
    assert talked(hub, inside, {"Cookie": "jupyterhub-user-bob=x", "Origin": "null"}) == "hello"
    heard = json.loads(alice.run("print(json.dumps(seen))"))
    assert [h["path"] for h in heard] == ["/", "/page?b=2", "/talk"]
    assert not [h for h in heard if set(h) & set(SECRETS)], heard
    assert secret not in json.dumps(heard)
    # A ticket opens this app alone, and no other way into the server.
    stranger = httpx.Client()
    assert stranger.get(inside).status_code == 200
    for other in (
        inside.replace("guests", "other"),
        inside[:-3] + "00/",
        inside.replace("~", "~f"),
        inside + "../../../api/contents",
    ):
        told = stranger.get(other, follow_redirects=True)
        assert "the app" not in told.text, other
        assert told.status_code in (403, 404) or "/hub/" in str(told.url), other
    assert stranger.post(inside).status_code in (403, 405)
    assert guest.web.get(f"{hub.url}/user/alice/api/contents").status_code in (403, 404)
    # Taken back, it is closed at once, to who has a ticket too.
    alice.run("seen_by.stop()")
    assert stranger.get(inside).status_code == 403
    assert guest.web.get(url).status_code == 403


def test_what_is_no_safe_socket_is_not_shared(hub, alice, bob):
    mine = {"Authorization": f"token {alice.token}"}
    shares = f"{hub.url}/user/alice/geodes/shares"
    theirs = f"/tmp/geodes-lab-{secrets.token_hex(4)}"
    bob.run(f"import os, socket; os.mkdir({theirs!r}); os.chmod({theirs!r}, 0o777); s = socket.socket(socket.AF_UNIX); s.bind({theirs + '/x.sock'!r})")  # fmt: skip
    open_ = f"/tmp/geodes-lab-{secrets.token_hex(4)}.sock"
    alice.run(
        f"""
        import os, socket
        for place in ({theirs + "/mine.sock"!r}, {open_!r}, os.environ["GEODES_LAB_RUNTIME"] + "/a b.sock"):
            s = socket.socket(socket.AF_UNIX)
            s.bind(place)
            os.chmod(place, 0o666)
        """
    )
    folder = alice.run("import os; print(os.environ['GEODES_LAB_RUNTIME'])")
    for told, said in (
        ({"socket": theirs + "/x.sock"}, "not a socket of your own program"),
        ({"socket": theirs + "/mine.sock"}, "belongs to another account"),
        ({"socket": open_}, "Other accounts can access"),
        ({"socket": f"{folder}/a b.sock"}, "letters, digits"),
        ({"socket": f"{folder}/../x.sock"}, "must not contain `..`"),
        ({"socket": "/etc/passwd"}, "not a socket of your own program"),
        ({"socket": "/" + "x" * 200}, "at most 107"),
        ({"socket": 5}, "whole path"),
        ({"port": 5006}, "Give a notebook in your home, or the socket"),
    ):
        answer = httpx.post(shares, json=told, headers=mine)
        assert answer.status_code in (400, 404), told
        assert said in answer.text, (told, answer.text)
    for path in (theirs + "/x.sock", theirs + "/mine.sock", open_):
        Path(path).unlink()
    Path(theirs).rmdir()


def test_what_a_person_made_is_in_a_sandbox_for_all_who_look_at_it(hub, alice):
    evil = "<script>fetch('/hub/api/user')</script>"
    cell = {"cell_type": "markdown", "metadata": {}, "source": evil, "id": "a"}
    alice.run(
        f"""
        import json, pathlib
        home = pathlib.Path.home()
        (home / 'page.html').write_text({evil!r})
        (home / 'page.svg').write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>')
        (home / 'page.txt').write_text({evil!r})
        (home / 'page.ipynb').write_text(json.dumps({{"cells": [{cell!r}], "metadata": {{}}, "nbformat": 4, "nbformat_minor": 5}}))
        """
    )
    for path in (
        "files/page.html",
        "files/page.svg",
        "files/page.txt",
        "files/page.ipynb",
        "nbconvert/html/page.ipynb",
    ):
        told = httpx.get(f"{hub.url}/user/alice/{path}", headers={"Authorization": f"token {alice.token}"}, timeout=60)
        assert told.status_code == 200, path
        assert "sandbox allow-scripts" in told.headers["content-security-policy"], path
        assert "allow-same-origin" not in told.headers["content-security-policy"], path
        assert told.headers["x-content-type-options"] == "nosniff", path


def test_places_that_are_taken_before_the_account_is_there(provider, hub, bob):
    """Bob knows the number that the next account has, and what the lab would call its folder."""
    provider.put("carol", groups=["geodes"])
    latest = max(int(line.split(":")[2]) for line in bob.run("print(open('/etc/passwd').read())").splitlines() if "GEODES Lab" in line)  # fmt: skip
    taken = [Path(f"{above}/geodes-lab-{n}") for n in range(latest + 1, latest + 6) for above in ("/tmp", "/var/tmp")]
    before, theirs = {}, uid(bob)
    for place in taken:
        with contextlib.suppress(FileExistsError):
            place.mkdir()
        place.chmod(0o777)
        os.chown(place, theirs, theirs)
        before[place] = sorted(place.iterdir())
    carol = Person(hub, "carol")
    try:
        number = uid(carol)
        assert latest < number <= latest + 5
        assert carol.run("import dask.array as da; print(da.ones(10).sum().compute())").splitlines()[-1] == "10.0"
        spill = carol.run("from geodes_lab.cluster.places import local; print(local.spill_folder())")
        assert not spill.startswith((f"/tmp/geodes-lab-{number}/", f"/var/tmp/geodes-lab-{number}/"))
        assert "PermissionError" in bob.run(f"import os; print(os.listdir({spill!r}))")
        runtime = carol.run("import os; print(os.environ['GEODES_LAB_RUNTIME'])")
        assert runtime == str(hub.folder / "run" / "lab-carol")
        assert "PermissionError" in bob.run(f"import os; print(os.listdir({runtime!r}))")
        assert "PermissionError" in bob.run(f"import os; print(os.listdir({str(hub.folder / 'run')!r}))")
        assert {place: sorted(place.iterdir()) for place in taken} == before
    finally:
        carol.kernel.stop()
        for place in taken:
            with contextlib.suppress(OSError):
                place.rmdir()


@pytest.mark.parametrize("how", ["folder", "link", "file"])
def test_home_that_is_somebody_elses_is_refused_in_a_sentence(provider, hub, alice, bob, how):
    name = f"dave-{how}"
    provider.put(name, groups=["geodes"])
    home, theirs = hub.homes / f"lab-{name}", uid(bob)
    if how == "folder":
        home.mkdir(mode=0o700)
        os.chown(home, theirs, theirs)
    elif how == "link":
        home.symlink_to(hub.homes / "lab-alice")
    else:
        home.write_text("")
    before = (hub.homes / "lab-alice").stat()
    dave = Browser(hub)
    dave.login(name)
    refused = dave.api("POST", f"/users/{name}/server", json={})
    assert refused.status_code == 403
    assert f"{home} is not a folder of the account lab-{name}" in refused.text
    now = (hub.homes / "lab-alice").stat()
    assert (now.st_uid, now.st_mode, now.st_mtime) == (before.st_uid, before.st_mode, before.st_mtime)
    if how == "folder":
        assert home.stat().st_uid == theirs


def talked(hub: Production, inside: str, headers: dict[str, str]) -> str:
    """What the app says first by its websocket."""
    from websocket import create_connection

    address = inside.replace("http://", "ws://") + "talk"
    connection = create_connection(address, header=[f"{k}: {v}" for k, v in headers.items() if k != "Origin"], origin=headers["Origin"], timeout=20)  # fmt: skip
    try:
        return str(connection.recv())
    finally:
        connection.close()
