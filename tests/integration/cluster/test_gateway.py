"""A cluster of a real dask-gateway: keys that live for seconds, dashboards closed to strangers, a cap for each user, one's own clusters alone."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import dask
import dask.array as da
import dask_gateway
import dask_gateway.config
import httpx
import numpy as np
import pytest

import geodes_lab as gl
from geodes_lab import credentials
from geodes_lab.cluster import attached, versions
from geodes_lab.cluster.places.gateway import _explained
from geodes_lab.environments.overlay import Overlay
from tests.environments.test_overlay import wheel
from tests.support.awaiting import awaited
from tests.support.hub.gatewaying import gateway
from tests.support.own_software import OwnPython
from tests.support.servers.keyed import KeyedS3, credential_process

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the gateway's processes do not know this file
CAPS = {"GEODES_LAB_GATEWAY_CLUSTERS": "2", "GEODES_LAB_GATEWAY_CORES": "6", "GEODES_LAB_GATEWAY_MEMORY": "6 G"}


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway(
        folder, "c.DaskGateway.authenticator_class = 'dask_gateway_server.auth.SimpleAuthenticator'", **CAPS
    ) as url:
        yield url


@pytest.fixture
def ada(address, monkeypatch) -> Iterator[str]:
    """The settings of a kernel of Ada's."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    credentials.lend_by(None)
    said = {
        "gateway.address": address,
        "gateway.auth.type": "basic",
        "gateway.auth.kwargs": {"username": "ada"},
        "geodes_lab.cluster.place": None,
    }
    with dask.config.set(said):
        yield address
        if attached._keeper is not None:
            attached._keeper.close()


def ask(address: str, name: str, method: str = "GET", path: str = "", body: object = None) -> httpx.Response:
    """As the gateway's own client does."""
    return httpx.request(method, f"{address}/api/v1/clusters/{path}", auth=(name, ""), json=body, timeout=60)


def clusters(address: str, name: str) -> list[str]:
    return list(ask(address, name).json())


def test_attach_is_by_the_gateway_and_ends_with_it(ada):
    client = gl.attach(workers=1)
    assert client.submit(abs, -1).result(60) == 1
    (one,) = gl.clusters()
    assert one.place == "gateway"
    assert gl.attach() is client
    assert gl.attach(workers=2) is client
    awaited(lambda: len(client.scheduler_info()["workers"]) == 2, 180)
    assert clusters(ada, "ada") == [client.cluster.name]
    gl.clusters().stop()
    assert clusters(ada, "ada") == []


@pytest.mark.attack
def test_dashboard_is_closed_to_who_has_its_address(ada):
    client = gl.attach(workers=1)
    (one,) = gl.clusters()

    def status(url: str) -> int:
        try:
            with urllib.request.urlopen(url) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    public = f"{ada}/clusters/{client.cluster.name}"
    for page in ("/status", "/json/identity.json", "/metrics", "/", "/info/main/workers.html"):
        assert status(public + page) == 404
    assert one.dashboard.startswith(public)
    assert status(one.dashboard) == 200


@pytest.mark.attack
def test_user_sees_stops_and_enters_no_cluster_of_another(ada):
    client = gl.attach(workers=1)  # another than that which a test before has stopped
    name = client.cluster.name
    assert clusters(ada, "bob") == []
    assert ask(ada, "ada", path=name).status_code == 200
    for method in ("GET", "DELETE"):
        answer = ask(ada, "bob", method, name)
        assert answer.status_code in (403, 404)
        assert "BEGIN" not in answer.text, "nor does he get its keys"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{ada}/api/v1/clusters/")
    assert client.submit(abs, -1).result(60) == 1, "it runs on"


@pytest.mark.slow  # three starts of a cluster
def test_cap_of_a_user_counts_all_clusters(ada):
    client = gl.attach(workers=1)
    second = ask(ada, "ada", "POST", body={"cluster_options": {}}).json()["name"]
    refused = ask(ada, "ada", "POST", body={"cluster_options": {}})
    assert refused.status_code == 422
    assert "the limit is 2 clusters at once, and you have" in refused.text
    assert ask(ada, "ada", "DELETE", second).status_code < 300
    awaited(lambda: len(clusters(ada, "ada")) == 1)
    with pytest.warns(
        UserWarning, match="exceed resource limit of 2 workers"
    ):  # its share are 3 of 6 cores, and the scheduler has one
        client.cluster.scale(50)
    awaited(lambda: len(client.scheduler_info()["workers"]) == 2, 180)
    time.sleep(2)  # more would come by then
    assert len(client.scheduler_info()["workers"]) == 2
    said = str(_explained(ValueError("the limit is 2 clusters at once, and you have a, b")))
    assert said.startswith("The gateway refuses another cluster: the limit is 2 clusters at once")


def test_memory_that_cannot_be_chosen_is_said(ada):
    with pytest.raises(
        gl.GeodesError,
        match=r"does not let users choose the memory of workers: leave memory= out\. You can choose: nothing",
    ):
        gl.attach(memory="2GiB")
    assert clusters(ada, "ada") == []


def test_other_software_is_refused_before_a_worker_starts(ada, monkeypatch):
    real = versions.here()
    monkeypatch.setattr(versions, "here", lambda: {**real, "zarr": "2.0"})
    with pytest.raises(
        gl.GeodesError,
        match=r"The gateway's scheduler has zarr .* where this kernel has 2.0, and such versions cannot work together",
    ):
        gl.attach(workers=1)
    awaited(lambda: clusters(ada, "ada") == [])


def test_gateway_that_calls_removed_commands_is_explained(tmp_path, monkeypatch):
    """dask-gateway#945, as it is without the lab's configuration."""
    more = (
        "c.DaskGateway.authenticator_class = 'dask_gateway_server.auth.SimpleAuthenticator'\n"
        "c.ClusterConfig.scheduler_cmd = 'dask-scheduler-that-is-no-more'\n"
    )
    with gateway(tmp_path, more) as url:
        said = {
            "gateway.address": url,
            "gateway.auth.type": "basic",
            "gateway.auth.kwargs": {"username": "ada"},
            "geodes_lab.cluster.place": "gateway",
        }
        with (
            dask.config.set(said),
            pytest.raises(gl.GeodesError, match=r"could not start a scheduler .*dask-gateway#945.*scheduler_cmd"),
        ):
            gl.attach()
    with (
        dask.config.set({**said, "gateway.address": "http://127.0.0.1:9"}),
        pytest.raises(gl.GeodesError, match=r"The gateway did not start a cluster: "),
    ):
        gl.attach()


def job(ada: str, sample: Path, tmp_path: Path, seconds: float) -> KeyedS3:
    """Compute for so long with keys that live for ten seconds; the server refuses those that have ended."""
    lake = KeyedS3(sample / "datalake", lifetime=10)
    with lake:
        settings = {
            "geodes_lab.catalog.profiles.local.url": str(sample / "catalog" / "catalog.json"),
            "geodes_lab.datalake.mirror": None,
            "geodes_lab.datalake.endpoint": lake.url,
            "geodes_lab.credentials.s3.command": credential_process(tmp_path / "assume.py", lake, "t0k3n"),
        }
        with dask.config.set(settings):
            items = gl.search("PEPS_S2_L1C")
            cube = gl.open_cube(items, bands=["red", "nir"], bbox=(1.78, 43.56, 1.86, 43.62))
            ndvi = (cube.nir - cube.red) / (cube.nir + cube.red)
            with dask.config.set({"scheduler": "synchronous"}):
                expected = float(ndvi.mean())
            client = gl.attach(workers=2)
            client.wait_for_workers(2, timeout=60)
            failed = client.run_on_scheduler(_count_failures)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                client.run(_forget_tiles)
                assert float(ndvi.mean()) == expected
            assert client.run_on_scheduler(_count_failures) == failed == 0, "no task failed"
            events = str(client.run_on_scheduler(_all_events))
            for secret in [*lake.given, "t0k3n"]:
                assert secret not in events
    return lake


def _count_failures(dask_scheduler: object) -> int:
    return sum(p.state_counts["erred"] for p in dask_scheduler.task_prefixes.values()) + sum(
        t.suspicious for t in dask_scheduler.tasks.values()
    )


def _all_events(dask_scheduler: object) -> list[str]:
    return [str(dask_scheduler.get_events(t)) for t in list(dask_scheduler._broker._topics)]


def _forget_tiles() -> None:
    from geodes_lab.formats import tile_cache

    tile_cache.forget()


def own(ada: str, overlay: Overlay, **settings: str) -> OwnPython:
    """Ada's Python in an environment of her own, with the gateway."""
    by = {"ADDRESS": ada, "AUTH__TYPE": "basic", "AUTH__KWARGS": "{'username': 'ada'}"}
    return OwnPython(Path.home(), overlay, **{f"DASK_GATEWAY__{name}": value for name, value in by.items()}, **settings)


@pytest.fixture
def overlay(tmp_path, monkeypatch) -> Overlay:
    """An environment of Ada's with a package that is nowhere else."""
    (tmp_path / "home" / "running").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    overlay = Overlay.named("default").make()
    source = "VALUE = 42\ndef double(n):\n    import sys\n    return [2 * n, __file__, sys.prefix]\n"
    overlay.install([str(wheel(tmp_path, "tinystorms", "1.0", source))])
    return overlay


@pytest.mark.slow  # another start of a cluster; tests/environments tries packs
def test_own_packages_are_on_the_gateway_s_workers_and_scheduler(ada, overlay):
    with own(ada, overlay) as run:
        # By reference: the scheduler, which unpickles the graph, needs the package too.
        run("import geodes_lab as gl, dask, tinystorms; client = gl.attach(workers=1); print('ready')")
        number, file, prefix = eval(run("print(dask.delayed(tinystorms.double)(21).compute())"))
        assert number == 42
        assert prefix == sys.prefix, "the worker's Python is the image's"
        assert not Path(file).is_relative_to(overlay.folder)
        assert Path(file).parents[1].name.startswith("software-")


@pytest.mark.slow  # waits for a second worker
def test_packages_installed_while_the_cluster_runs_come_too(ada, overlay, tmp_path):
    with own(ada, overlay) as run:
        run("import geodes_lab as gl, tinystorms; client = gl.attach(workers=1); print('ready')")
        assert run("print(client.submit(lambda: __import__('tinystorms').VALUE).result())") == "42"
        overlay.install([str(wheel(tmp_path, "tinyfloods", "1.0"))])
        assert run("print(client.submit(lambda: __import__('tinyfloods').VALUE).result())") == "42", (
            "what is installed while the cluster runs comes too"
        )
        run("client.cluster.scale(2); client.wait_for_workers(2, 60); print('two')")
        asked = "print(sorted(client.run(lambda: __import__('tinyfloods').VALUE).values()))"
        assert run(asked) == "[42, 42]", "a worker that comes later has them before its first task"
        overlay.install([str(wheel(tmp_path, "tinystorms", "2.0"))])
        run("print(client.submit(abs, -1).result())")
        assert "tinystorms 2.0 (1.0 is in use): what is imported already stays" in awaited(lambda: run.errors, 30)


@pytest.mark.slow  # another start of a cluster; what cannot be packed is in tests/environments
def test_own_packages_that_are_too_large_are_said_and_the_cluster_works(ada, overlay):
    with own(ada, overlay, DASK_GEODES_LAB__CLUSTER__SOFTWARE="10 B") as run:
        assert run("import geodes_lab as gl; print(gl.attach(workers=1).submit(abs, -1).result())") == "1"
        assert "not all on the workers of the gateway: they have 667 B in 4 files, and at most 10 B" in run.errors


@pytest.mark.slow  # another start of a scheduler
def test_own_version_of_what_has_to_be_the_same_is_named(ada, overlay, tmp_path):
    overlay.install([str(wheel(tmp_path, "zarr", "99.0"))])
    with own(ada, overlay) as run:
        attach = "try:\\n gl.attach(workers=1)\\nexcept gl.GeodesError as error:\\n print(error)"
        said = run(f"import geodes_lab as gl; exec('{attach}')")
        assert (
            "where this kernel has 99.0, and such versions cannot work together. You have installed zarr in place of"
            in said
        )
        assert "`pip uninstall zarr`" in said
    awaited(lambda: clusters(ada, "ada") == [], 60)


@pytest.mark.slow  # waits for keys to end; on a local cluster test_local_cluster does
def test_job_outlives_its_keys(ada, sample, tmp_path):
    lake = job(ada, sample, tmp_path, 25)
    assert lake.issued >= 3


@pytest.mark.slow
def test_job_of_three_minutes_outlives_its_keys(ada, sample, tmp_path):
    lake = job(ada, sample, tmp_path, 180)
    assert lake.issued >= 18


@pytest.mark.attack
@pytest.mark.slow  # half a minute of computing; make audit runs it, as all attacks
def test_workers_carry_no_key_of_another_user(ada, sample, tmp_path):
    """Sought in the memory of the processes; that it is found in the worker of whose key it is shows that the search sees it."""
    with KeyedS3(sample / "datalake") as lake:
        settings = {
            "geodes_lab.catalog.profiles.local.url": str(sample / "catalog" / "catalog.json"),
            "geodes_lab.datalake.mirror": None,
            "geodes_lab.datalake.endpoint": lake.url,
            "geodes_lab.credentials.s3.command": credential_process(tmp_path / "assume.py", lake, "t0k3n"),
        }
        with (
            dask.config.set(settings),
            dask_gateway.Gateway(ada, auth=dask_gateway.BasicAuth("bob")) as bobs,
            bobs.new_cluster() as other,
            other.get_client(set_as_default=False) as his,
        ):
            other.scale(1)
            his.wait_for_workers(1, timeout=60)
            client = gl.attach(workers=1)
            cube = gl.open_cube(gl.search("PEPS_S2_L1C"), bands=["red"], bbox=(1.78, 43.56, 1.86, 43.62))
            assert client.compute(cube.red.mean()).result(90) > 0
            mine, theirs = [_memory(*c.run(os.getpid).values()) for c in (client, his)]
    secrets = [g.encode() for g in lake.given]
    assert any(s in mine for s in secrets), "the control: her own worker has it"
    assert [s for s in secrets if s in theirs] == []


def _memory(pid: int) -> bytes:
    """What a process may write to: its heap, its stacks, its environment."""
    found = []
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                place, rights, *rest = line.split()
                if rights.startswith("rw") and not any(r.startswith(("/dev", "[vv")) for r in rest):
                    start, end = (int(n, 16) for n in place.split("-"))
                    memory.seek(start)
                    found.append(memory.read(end - start))
    except PermissionError:
        pytest.skip("this system lets nobody look into another process (ptrace_scope)")
    return b"".join(found)


@pytest.mark.slow  # half a minute of faults
def test_datalake_that_is_down_for_five_seconds_and_a_worker_that_is_killed(ada, sample, tmp_path):
    """Both while a job computes: its result is right."""
    lake = KeyedS3(sample / "datalake")
    with lake:
        settings = {
            "geodes_lab.catalog.profiles.local.url": str(sample / "catalog" / "catalog.json"),
            "geodes_lab.datalake.mirror": None,
            "geodes_lab.datalake.endpoint": lake.url,
            "geodes_lab.credentials.s3.command": credential_process(tmp_path / "assume.py", lake, "t0k3n"),
        }
        with dask.config.set(settings):
            cube = gl.open_cube(gl.search("PEPS_S2_L1C"), bands=["red", "nir"])
            with dask.config.set({"scheduler": "synchronous"}):
                expected = float(cube.red.mean())
            client = gl.attach(workers=2)
            client.wait_for_workers(2, timeout=60)
            client.run(_forget_tiles)
            served = lake.served
            future = client.compute(cube.red.mean().data)
            awaited(lambda: lake.served > served + 5)
            lake.down()
            threading.Timer(5, lake.up).start()
            client.run(os._exit, 1, workers=list(client.scheduler_info()["workers"])[:1], on_error="ignore")
            assert float(future.result(120)) == expected


@pytest.mark.slow  # waits for the gateway's time-outs
def test_scheduler_that_is_gone_is_one_sentence_and_the_next_computation_is_right(ada):
    client = gl.attach(workers=1)
    assert client.submit(abs, -1).result(60) == 1
    pid = client.run_on_scheduler(os.getpid)
    x = da.ones(4, chunks=2).map_blocks(lambda block: time.sleep(2) or block, dtype=float)
    killer = threading.Timer(1, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(
        gl.GeodesError,
        match=r"The scheduler of your cluster has stopped, and the results on its workers are lost\. Compute again",
    ):
        x.compute(scheduler=client)
    awaited(lambda: len(gl.clusters()) == 0, 180)
    other = gl.attach(workers=1)
    assert other is not client
    assert float(x.sum().compute(scheduler=other)) == 4


@pytest.mark.slow  # as on a local cluster
def test_computation_that_is_interrupted_frees_the_worker_that_is_at_it(ada, tmp_path):
    """Its steps would take an hour."""
    (begun := tmp_path / "begun").mkdir()

    def step(block: np.ndarray) -> np.ndarray:
        (begun / uuid.uuid4().hex).touch()
        time.sleep(3600)
        return block

    def interrupt() -> None:
        awaited(lambda: list(begun.iterdir()), 120)
        os.kill(os.getpid(), signal.SIGINT)

    client = gl.attach(workers=1)
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        client.get({"x": (step, np.ones(1))}, "x")
    assert gl.attach() is client
    assert client.submit(abs, -1).result(120) == 1


@pytest.mark.slow  # waits for the gateway
def test_cluster_without_workers_says_so_where_one_waits(ada, capsys):
    client = gl.attach(workers=1)
    assert client.submit(abs, -1).result(120) == 1
    client.cluster.scale(0)
    awaited(lambda: not client.scheduler_info(n_workers=-1)["workers"], 180)
    future = client.submit(abs, -2)
    said = awaited(lambda: capsys.readouterr().err, 120)
    assert "Your cluster has no worker: the gateway has not started any yet, or has ended them." in said
    assert gl.attach(workers=1) is client
    assert future.result(120) == 2
