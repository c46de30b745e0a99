"""News of searches: a key in a feed's address, and mails by a real SMTP server; each person only their own."""

from __future__ import annotations

import logging
import re
import ssl
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import httpx
import pytest
import trustme

from geodes_lab.catalog.harvesting import shelved
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.mail import Mail
from geodes_lab.policy.units import Seconds
from hub.services.catalogue.access import Rights
from hub.services.catalogue.app import made
from hub.services.catalogue.news.postman import NotSent, Postman
from hub.services.catalogue.news.store import Store
from hub.services.catalogue.news.watch import Watch
from hub.services.catalogue.shelves import Shelves
from hub.services.person import Person
from tests.hub.services.catalogue.test_catalogue_service import item
from tests.support.servers.mailbox import Mailbox, mail_server
from tests.support.servers.served import served
from tests.support.servers.tiling import Known

L1C = "PEPS_S2_L1C"
ATOM = "{http://www.w3.org/2005/Atom}"
PEOPLE = {"a": Person("ada"), "b": Person("bob")}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def smtp(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with mail_server(context) as box:
        yield box


@pytest.fixture
def box(smtp) -> Mailbox:
    smtp.mails.clear()
    smtp.refusal = ""
    return smtp


class Newsroom:
    """A catalogue's service with mails, whose look for news is called by the test."""

    def __init__(self, url: str, folder: Path, hub: Known, postman: Postman) -> None:
        self.url, self.folder, self.hub, self.postman = url, folder, hub, postman

    def ask(self, path: str, token: str = "a", method: str = "POST", **body: object) -> httpx.Response:
        headers = {"Authorization": f"token {token}"} if token else {}
        return httpx.request(method, f"{self.url}/{path}", json=body or None, headers=headers, timeout=60)

    def watch(self) -> Watch:
        """As after a start of the service."""
        shelves = Shelves(self.folder / "harvested", self.folder / "results", Rights())
        store = Store(self.folder / "news.sqlite")
        page = "https://lab.example/services/catalogue/"
        watch = Watch(store, shelves, self.hub, self.postman, page, 900, self.folder / "duty")
        watch.settle()
        return watch


@pytest.fixture
def room(sample, tmp_path, smtp, monkeypatch):
    shelved(str(sample / "catalog" / "catalog.json"), tmp_path / "harvested")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-the-hub")
    hub = Known()
    hub.people = PEOPLE
    mail = Mail(
        "127.0.0.1", "lab@lab.example", smtp.port, security="none", domains=("lab.example",), every=Seconds(10**6)
    )
    postman = Postman(mail, tmp_path / "none")
    lab = Lab(mail=mail, address="https://lab.example")
    application = made(tmp_path / "harvested", tmp_path / "results", hub=hub, lab=lab, postman=postman)
    with served(application) as url:
        yield Newsroom(url, tmp_path, hub, postman)


def confirmed(room: Newsroom, box: Mailbox, token: str = "a", address: str = "ada@lab.example", **more: str) -> None:
    assert room.ask("news/address", token, address=address, **more).status_code == 200
    mail = box.mails.pop()
    assert mail["To"] == address
    code = parse_qs(urlsplit(re.search(r"https://\S+", mail.get_content())[0]).query)["confirm"][0]
    assert room.ask("news/confirm", token, code=code).status_code == 200


def publish(room: Newsroom, *names: str) -> None:
    """Products come."""
    for name in names:
        url = f"{room.url}/stac/collections/ada.news/items"
        answer = httpx.post(url, json=item(name, "ada.news"), headers={"Authorization": "token a"})
        assert answer.status_code == 201, answer.text


@pytest.fixture
def collection(room):
    extent = {"spatial": {"bbox": [[0, 40, 5, 45]]}, "temporal": {"interval": [["2021-01-01T00:00:00Z", None]]}}
    told = {"type": "Collection", "stac_version": "1.1.0", "id": "ada.news", "description": "New", "license": "other", "extent": extent, "links": [], "geodes:readers": ["*"]}  # fmt: skip
    answer = httpx.post(f"{room.url}/stac/collections", json=told, headers={"Authorization": "token a"})
    assert answer.status_code == 201, answer.text
    publish(room, "old-1", "old-2")
    return "collection=ada.news"


def test_new_products_are_mailed_once(room, box, collection, caplog):
    confirmed(room, box, lang="fr")
    name = "Été\r\nBcc: x@y.example\u2028X"
    assert room.ask("news/mails", search=collection, name=name, on=True).status_code == 200
    assert room.watch().look() == 0  # what was there is not new
    publish(room, "new-1", "new\u00e9 <2>")
    box.refusal = "451 later"
    with caplog.at_level(logging.WARNING):
        assert room.watch().look() == 0
    assert "451 later" in caplog.text
    box.refusal = ""
    assert room.watch().look() == 1  # after a restart too
    (mail,) = box.mails
    assert mail["To"] == "ada@lab.example"
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Nouveaux produits : Été Bcc: x@y.example X"
    assert mail.get_content_type() == "text/plain"
    text = mail.get_content().replace("\r\n", "\n")
    assert text.startswith("2 nouveaux produits")
    assert "- 2021-06-05 10:50  new-1\n" in text
    assert "https://lab.example/services/catalogue/?collection=ada.news&product=new-1" in text
    assert [room.watch().look() for _ in range(2)] == [0, 0]
    # A service that ended while a mail was on its way sends none a second time.
    publish(room, "new-3")
    wanted = Store(room.folder / "news.sqlite").wanted("ada")[0]
    assert Store(room.folder / "news.sqlite").begin(wanted, ["new-3"]) == ["new-3"]
    assert room.watch().look() == 0
    # The switch is off.
    assert room.ask("news/mails", search=collection, on=False).status_code == 200
    publish(room, "new-4")
    assert room.watch().look() == 0
    assert len(box.mails) == 1


@pytest.mark.attack
def test_mails_are_each_person_s_own(room, box, collection):
    # Whose address is not confirmed, or who cannot see the collection any more, gets nothing.
    assert room.ask("news/address", "b", address="ada@lab.example").status_code == 200
    code = parse_qs(urlsplit(re.search(r"https://\S+", box.mails.pop().get_content())[0]).query)["confirm"][0]
    assert room.ask("news/mails", "b", search=collection, on=True).status_code == 200
    publish(room, "new-1")
    assert room.watch().look() == 0
    assert room.ask("news/confirm", "a", code=code).status_code == 400  # the reader of the letter is not Bob
    assert room.ask("news/confirm", "b", code="x").status_code == 400
    for wrong in (
        "x",
        "ada@lab.example\r\nBcc: z@lab.example",
        "ada@other.example",
        "a@b@lab.example",
        "é@lab.example",
        "ada@lab.example,x@lab.example",
    ):
        assert room.ask("news/address", "b", address=wrong).status_code == 400, wrong
    confirmed(room, box, "b", "bob@lab.example")
    assert room.watch().look() == 1
    assert box.mails.pop()["To"] == "bob@lab.example"
    told = room.ask("news", "a", "GET").json()
    assert (told["address"], told["searches"], told["keys"]) == ("", [], [])
    assert room.ask("news/mails", "b", search="collection=NONE", on=True).status_code == 400
    assert room.ask("news/mails", "b", search="collection=ada.news&evil=1", on=True).status_code == 400
    for _ in range(3):  # five letters a day, with the two above
        room.ask("news/address", "b", address="bob@lab.example")
    assert room.ask("news/address", "b", address="bob@lab.example").status_code == 409
    for path, method in (("news", "GET"), ("news/mails", "POST"), ("news/keys", "POST"), ("news/keys/x", "DELETE")):
        assert room.ask(path, "", method).status_code == 401, path
    # A page of another site cannot change anything with a browser's cookie.
    cookie = {"Cookie": "person=a", "Sec-Fetch-Site": "cross-site"}
    room.hub.person = lambda request: Person("ada", by_cookie=True)
    answer = httpx.post(f"{room.url}/news/keys", json={"search": collection}, headers=cookie)
    assert answer.status_code == 401


def test_feed_has_a_key_that_can_be_taken_back(room, collection):
    made_key = room.ask("news/keys", search=f"?{collection}")
    assert made_key.status_code == 200, made_key.text
    address = f"{room.url}/{made_key.json()['feed']}"
    feed = httpx.get(address)
    names = [e.findtext(f"{ATOM}title") for e in ElementTree.fromstring(feed.content).findall(f"{ATOM}entry")]
    assert names == ["old-1", "old-2"] or names == ["old-2", "old-1"]
    key = parse_qs(urlsplit(address).query)["key"][0]
    assert key not in feed.text
    assert feed.headers["Referrer-Policy"] == "no-referrer"
    assert room.ask("news", "a", "GET").json()["keys"][0]["search"] == collection
    # It opens this search alone, and nothing else of the service.
    for other in (
        f"feed.atom?collection={L1C}&key={key}",
        f"feed.atom?{collection}&clouds=3&key={key}",
        f"feed.atom?{collection}&key={key[:-2]}aa",
        f"feed.atom?{collection}",
    ):
        assert httpx.get(f"{room.url}/{other}").status_code in (400, 401), other
    assert httpx.post(f"{room.url}/stac/search?key={key}", json={"collections": ["ada.news"]}).status_code == 401
    # Somebody else cannot take it back; its person can.
    name = made_key.json()["id"]
    room.ask(f"news/keys/{name}", "b", "DELETE")
    assert httpx.get(address).status_code == 200
    room.ask(f"news/keys/{name}", "a", "DELETE")
    assert httpx.get(address).status_code == 401


def test_server_that_asks_for_a_password_by_tls(smtp, box, authority, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "password").write_text("s3cret\n")
    told = {"host": "127.0.0.1", "sender": "lab@lab.example", "port": smtp.port, "user": "lab"}
    mail = Mail(**told, authority=str(tmp_path / "ca.pem"))
    Postman(mail, tmp_path / "password").send("ada@lab.example", "Hello", "text")
    assert len(box.mails) == 1
    with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):  # nobody knows this authority
        Postman(Mail(**told), tmp_path / "password").send("ada@lab.example", "Hello", "text")
    (tmp_path / "password").write_text("other")
    with pytest.raises(NotSent, match="535"):
        Postman(mail, tmp_path / "password").send("ada@lab.example", "Hello", "text")
    with pytest.raises(NotSent, match="took no mail"):  # there is no password
        Postman(mail, tmp_path / "nothing").send("ada@lab.example", "Hello", "text")
    assert len(box.mails) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"sender": "lab"}, "sender is 'lab'"),
        ({"host": "a b"}, "host is 'a b'"),
        ({"user": "x", "security": "none"}, "others could read the password"),
        ({"domains": ["@x"]}, "is no domain"),
        ({"every": Seconds(1)}, "a minute or more"),
    ],
)
def test_operator_s_line_that_is_wrong(line, said):
    told = {"host": "smtp.lab.example", "sender": "lab@lab.example", **line}
    with pytest.raises(ValueError, match=said):
        Mail(**told)
