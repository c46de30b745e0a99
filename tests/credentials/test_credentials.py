"""Keys that live as long as the job: their sources, their renewal, and that no one sees them."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
import rasterio

import geodes_lab as gl
from geodes_lab import credentials
from geodes_lab.credentials import Secret
from geodes_lab.storage import gdal_env, request, stores
from geodes_lab.storage.location import locate
from geodes_lab.storage.request import Unreachable
from tests.support.servers.keyed import KeyedS3, credential_process

FILLED = {"from": None, "file": None, "command": None, "endpoint": None, "role": None, "seconds": 3600}


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith("AWS_") or name == "GEODES_API_KEY":
            monkeypatch.delenv(name)
    credentials.lend_by(None)
    yield
    credentials.lend_by(None)


@pytest.fixture
def lake(sample) -> Iterator[KeyedS3]:
    with KeyedS3(sample / "datalake") as running:
        yield running


def use(**said: object) -> object:
    return dask.config.set({"geodes_lab.credentials.s3": {**FILLED, **said}})


def reading(lake: KeyedS3, sample: Path) -> object:
    return dask.config.set(
        {
            "geodes_lab.catalog.profiles.local.url": str(sample / "catalog" / "catalog.json"),
            "geodes_lab.datalake.mirror": None,
            "geodes_lab.datalake.endpoint": lake.url,
        }
    )


def an_object(sample: Path) -> str:
    path = next((sample / "datalake").glob("sentinel2-l1c/31/T/CJ/2021/06/05/*.zip"))
    return f"s3://{path.relative_to(sample / 'datalake')}"


def test_environment_is_looked_at_each_time(monkeypatch):
    assert credentials.current("s3") is None
    assert not credentials.known("s3")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    assert credentials.current("s3") is None, "half a key is none"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert dict(credentials.current("s3")) == {"access_key_id": "a", "secret_access_key": "b"}
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "c")
    assert credentials.current("s3")["secret_access_key"] == "c"
    monkeypatch.setenv("GEODES_API_KEY", " mine \n")
    assert credentials.current("api_key")["key"] == "mine"


@pytest.mark.parametrize("form", ["json", "folder", "bare"])
def test_file_as_operators_mount_it(tmp_path, form):
    path = tmp_path / "secret"
    kind = "api_key" if form == "bare" else "s3"
    if form == "folder":
        path.mkdir()
        (path / "AWS_ACCESS_KEY_ID").write_text("a\n")
        (path / "AWS_SECRET_ACCESS_KEY").write_text("b\n")
    else:
        path.write_text("a" if form == "bare" else json.dumps({"AccessKeyId": "a", "SecretAccessKey": "b"}))
    with dask.config.set({f"geodes_lab.credentials.{kind}.file": str(path)}):
        assert credentials.current(kind)["key" if form == "bare" else "access_key_id"] == "a"
        if form == "json":
            path.write_text(json.dumps({"AccessKeyId": "a2", "SecretAccessKey": "b"}))
            assert credentials.current(kind)["access_key_id"] == "a2", "the operator has replaced it"


def test_command_is_asked_once_until_it_is_due(tmp_path, lake):
    lake.lifetime = 8.0
    with use(command=credential_process(tmp_path / "assume.py", lake, "token")):
        first = credentials.current("s3")
        assert first.left > 6
        assert credentials.current("s3") is first
        assert lake.issued == 1
        held = credentials.renewal._held["s3"]
        held.again = 0.0  # as if it were due: others go on with it while one renews it
        threads = [threading.Thread(target=credentials.current, args=("s3",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert lake.issued == 2
        assert credentials.current("s3").mark != first.mark


def test_sts_takes_the_hubs_token(lake, monkeypatch, sample):
    lake.tokens.add("of-ada")
    with use(endpoint=lake.url, role="arn:x"), reading(lake, sample):
        monkeypatch.setenv("GEODES_LAB_TOKEN", "of-nobody")
        with pytest.raises(
            gl.GeodesError, match=r"gave no keys for the datalake \(HTTP 400 InvalidIdentityToken\)"
        ) as caught:
            credentials.current("s3")
        assert "of-nobody" not in str(caught.value)
        monkeypatch.setenv("GEODES_LAB_TOKEN", "of-ada")
        assert len(locate(an_object(sample)).read(0, 10)) == 10
        monkeypatch.delenv("GEODES_LAB_TOKEN")
        assert len(locate(an_object(sample)).read(0, 10)) == 10, "keys outlive the token that they were got with"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "no-such-command x",
            "The command no-such-command of geodes_lab.credentials.s3 does not exist: check the setting.",
        ),
        ("false", "The command false of geodes_lab.credentials.s3 ended with 1: run it by hand to see why."),
        (
            "echo s3cr3t",
            "The command echo of geodes_lab.credentials.s3 did not print the keys as JSON: run it by hand to see why.",
        ),
        (
            "echo {}",
            "The command echo of geodes_lab.credentials.s3 did not print the keys as JSON: run it by hand to see why.",
        ),
    ],
)
def test_command_that_fails_is_one_sentence_without_what_it_printed(line, said):
    with use(command=line), pytest.raises(gl.GeodesError) as caught:
        credentials.current("s3")
    assert str(caught.value) == said


def test_settings_that_make_no_sense_are_said(tmp_path):
    with (
        use(**{"from": "vault"}),
        pytest.raises(
            gl.GeodesError, match="from is 'vault'; the possible values are: command, environment, file, sts"
        ),
    ):
        credentials.current("s3")
    with use(file=str(tmp_path / "none")), pytest.raises(gl.GeodesError, match=r"cannot be read \(FileNotFoundError\)"):
        credentials.current("s3")
    (tmp_path / "half").write_text('{"AccessKeyId": "a"}')
    with (
        use(file=str(tmp_path / "half")),
        pytest.raises(gl.GeodesError, match="it must have AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"),
    ):
        credentials.current("s3")
    with use(endpoint="http://127.0.0.1:9"), pytest.raises(gl.GeodesError, match="need your access token"):
        credentials.current("s3")


def test_source_that_fails_for_a_while_does_not_matter_while_the_key_is_good(tmp_path, lake):
    command = credential_process(tmp_path / "assume.py", lake, "token")
    with use(command=command):
        first = credentials.current("s3")
        (tmp_path / "assume.py").rename(tmp_path / "gone.py")
        credentials.renewal._held["s3"].again = 0.0
        assert credentials.current("s3") is first
        lake.keys.clear()
        assert not credentials.refused("s3", first.mark), "a young key that is refused lacks the right"
        first.born -= 60
        with pytest.raises(gl.GeodesError, match="ended with 2"):
            credentials.refused("s3", first.mark)
        (tmp_path / "gone.py").rename(tmp_path / "assume.py")
        assert credentials.refused("s3", first.mark)
        assert credentials.current("s3").mark != first.mark


def test_readers_go_on_when_keys_end(tmp_path, lake, sample):
    """obstore, GDAL and fsspec, before and after the keys have ended; the server refuses those that have."""
    lake.lifetime = 1.0
    href = an_object(sample)
    expected = (sample / "datalake" / href.removeprefix("s3://")).read_bytes()[:100]
    with use(command=credential_process(tmp_path / "assume.py", lake, "token")), reading(lake, sample):
        filesystem = gl.filesystem()
        for _ in range(2):
            place = locate(href)
            assert place.read(0, 100) == expected
            with (
                gdal_env.environment(place.gdal),
                rasterio.open(f"/vsizip/{{{place.gdal}}}/{member(sample, href)}") as file,
            ):
                assert file.width > 100
            assert filesystem.cat_file(href.removeprefix("s3://"), start=0, end=100) == expected
            ended = max(k[2] for k in lake.keys.values())
            while time.time() <= ended:  # the clock is what is awaited
                time.sleep(0.05)
    assert lake.issued >= 2


def member(sample: Path, href: str) -> str:
    import zipfile

    with zipfile.ZipFile(sample / "datalake" / href.removeprefix("s3://")) as archive:
        return next(n for n in archive.namelist() if n.endswith("_B04.jp2"))


def test_key_that_is_withdrawn_is_changed_for_another(tmp_path, lake, sample, caplog):
    caplog.set_level("INFO", "geodes_lab")
    with use(command=credential_process(tmp_path / "assume.py", lake, "token")), reading(lake, sample):
        assert locate(an_object(sample)).read(0, 4) == b"PK\3\4"
        lake.keys.clear()
        credentials.at_hand("s3").born -= 60  # else the right is missing, and not the key
        assert locate(an_object(sample)).read(0, 4) == b"PK\3\4"
        assert (lake.refused, lake.issued) == (1, 2)
    assert [r.name for r in caplog.records if r.name.startswith("geodes_lab")] == ["geodes_lab.credentials"]
    assert "The secret 's3' has changed." in caplog.text


def test_right_that_is_missing_is_one_sentence(lake, sample, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANONE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    with reading(lake, sample), pytest.raises(Unreachable, match="the datalake refused the keys") as caught:
        locate(an_object(sample)).read(0, 4)
    assert "s3cr3t" not in "".join(map(str, (caught.value, caught.value.__cause__, repr(caught.value.__cause__))))
    with (
        reading(lake, sample),
        use(command="false"),
        pytest.raises(Unreachable, match=r"cannot be read on .*: The command false .* ended with 1"),
    ):
        locate(an_object(sample)).read(0, 4)


def test_secret_does_not_show_nor_travel():
    secret = Secret(
        {"access_key_id": "AKIA1", "secret_access_key": "s3cr3t", "session_token": "t0k3n"}, time.time() + 60
    )
    shown = f"{secret} {secret!r} {secret:}" + str([secret]) + str({"x": secret})
    assert "s3cr3t" not in shown
    assert "t0k3n" not in shown
    assert "AKIA1" not in shown
    assert not hasattr(secret, "__dict__")
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a secret cannot be sent"):
            way(secret)
    assert secret == Secret(dict(secret))
    assert secret != Secret({**secret, "session_token": "another"})


def test_nobody_sees_the_keys(tmp_path, lake, sample, caplog, capfd):
    """Graph, pickles, reprs, notebooks, logs, exceptions and files are searched for every secret that was given."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("rasterio").setLevel(logging.DEBUG)
    folder = tmp_path / "written"
    with (
        use(command=credential_process(tmp_path / "assume.py", lake, "t0k3n-of-ada")),
        reading(lake, sample),
        dask.config.set({"geodes_lab.cache.folder": str(folder), "geodes_lab.replica.folder": str(folder)}),
    ):
        items = gl.search("PEPS_S2_L1C", datetime="2021-06-05")
        cube = gl.open_cube(items, bands=["red"], bbox=(1.80, 43.58, 1.82, 43.60))
        assert 0 < float(cube.red.mean()) < 1
        place, filesystem = locate(an_object(sample)), gl.filesystem()
        with (
            gdal_env.environment(place.gdal),
            rasterio.open(f"/vsizip/{{{place.gdal}}}/{member(sample, place.href)}") as file,
        ):
            seen = [repr(file), str(file.profile), str(file.tags())]
        seen += [
            repr(cube),
            cube._repr_html_(),
            str(gl.report(cube)),
            str(dict(cube.__dask_graph__())),
            str(dask.config.config),
        ]
        seen += [
            repr(place),
            repr(place.store),
            repr(filesystem),
            repr(credentials.current("s3")),
            repr(stores._provide),
        ]
        pickles = [pickle.dumps(x) for x in (place, filesystem, [i.to_dict() for i in items])]
        import cloudpickle

        pickles.append(cloudpickle.dumps(cube))
        gl.save(cube, tmp_path / "written" / "cube.zarr")
        lake.keys.clear()
        credentials.at_hand("s3").born -= 60
        (tmp_path / "assume.py").write_text("import sys; sys.exit(3)")
        with pytest.raises(gl.GeodesError) as caught:
            gl.open_cube(items, bands=["nir"], bbox=(1.80, 43.58, 1.82, 43.60)).nir.mean().compute()
        error: BaseException | None = caught.value
        while error is not None:
            seen += [str(error), repr(error), *map(str, error.args)]
            error = error.__cause__ or error.__context__
    printed = capfd.readouterr()
    seen += [printed.out, printed.err, caplog.text]
    everything = "\n".join(seen).encode() + b"\n".join(pickles)
    everything += b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    assert len(lake.given) >= 2
    assert len(everything) > 10_000
    for secret in [*lake.given, "t0k3n-of-ada"]:
        assert secret.encode() not in everything
    assert b"s3.datalake.cnes.fr" in everything or b"sentinel2-l1c" in everything, "the search finds what is there"


def test_private_authority_of_the_datalake(tmp_path, sample, monkeypatch):
    """A server whose certificate a private CA has signed: refused without it, read with it, by all readers."""
    monkeypatch.setattr(request, "_PAUSE", 0.001)  # how often it is asked again counts, not how long that takes
    import trustme

    ca = trustme.CA()
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    with KeyedS3(sample / "datalake", certificate=tmp_path / "server.pem") as lake, reading(lake, sample):
        lake.tokens.add("of-ada")
        with use(endpoint=lake.url), pytest.MonkeyPatch.context() as patch:
            patch.setenv("GEODES_LAB_TOKEN", "of-ada")
            with pytest.raises(gl.GeodesError, match="gave no keys for the datalake"):
                credentials.current("s3")
            with (
                dask.config.set({"geodes_lab.datalake.ca": str(tmp_path / "none.pem")}),
                pytest.raises(gl.GeodesError, match="cannot be read"),
            ):
                credentials.current("s3")
            (tmp_path / "no.pem").write_text("nothing")
            with (
                dask.config.set({"geodes_lab.datalake.ca": str(tmp_path / "no.pem")}),
                pytest.raises(gl.GeodesError, match="give a PEM file"),
            ):
                credentials.current("s3")
            with dask.config.set({"geodes_lab.datalake.ca": str(tmp_path / "ca.pem")}):
                place = locate(an_object(sample))
                assert place.read(0, 4) == b"PK\3\4"
                with (
                    gdal_env.environment(place.gdal),
                    rasterio.open(f"/vsizip/{{{place.gdal}}}/{member(sample, place.href)}") as file,
                ):
                    assert file.width > 100
                assert gl.filesystem().cat_file(place.href.removeprefix("s3://"), start=0, end=4) == b"PK\3\4"
            # Without the authority the same server is not believed, though the keys are good.
            with pytest.raises(Unreachable), dask.config.set({"geodes_lab.datalake.timeout": 5}):
                place.read(0, 4)


def test_checks_of_certificates_are_never_off():
    sources_of_ours = "\n".join(p.read_text() for p in Path(gl.__file__).parent.rglob("*.py"))
    for way in ("verify=False", "UNSAFESSL", "allow_invalid_certificates", "CERT_NONE", "check_hostname = False"):
        assert way not in sources_of_ours


def test_unrelated_package_of_the_same_name_is_not_a_requirement():
    assert "assumerole" not in (Path(gl.__file__).parents[1] / "requirements.lock").read_text()


def test_server_that_is_down_for_a_while_is_waited_for(tmp_path, lake, sample, caplog):
    caplog.set_level("INFO", "geodes_lab")
    with use(command=credential_process(tmp_path / "assume.py", lake, "token")), reading(lake, sample):
        place = locate(an_object(sample))
        place.read(0, 4)
        lake.down()
        back = threading.Timer(2.5, lake.up)
        back.start()
        assert place.read(0, 4) == b"PK\3\4"
        back.join()
    said = [r.getMessage() for r in caplog.records if r.name == "geodes_lab.storage"]
    assert said[0].startswith(f"Try 1 to read {an_object(sample).removeprefix('s3://')!r} failed: ")


def test_child_of_a_fork_asks_for_its_own(tmp_path, lake):
    with use(command=credential_process(tmp_path / "assume.py", lake, "token")):
        credentials.current("s3")
        pid = os.fork()
        if pid == 0:
            os._exit(0 if credentials.at_hand("s3") is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_other_users_do_not_see_them_in_the_list_of_processes(tmp_path, lake):
    with use(command=credential_process(tmp_path / "assume.py", lake, "token")):
        credentials.current("s3")
        shown = subprocess.run([shutil.which("ps") or "ps", "axeww"], capture_output=True, text=True).stdout
        assert sys.executable in shown
        assert not any(secret in shown for secret in lake.given)
        assert not any(secret in "\n".join(os.environ.values()) for secret in lake.given)
