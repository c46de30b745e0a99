"""The cluster in the user's server: one per kernel, within the server's memory, closed to strangers, gone when it should."""

from __future__ import annotations

import ast
import asyncio
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import dask.array as da
import dask.order
import numpy as np
import psutil
import pytest
from distributed import Client, LocalCluster

import geodes_lab as gl
from geodes_lab import cluster, credentials
from geodes_lab.cluster import attached, dashboard_gate, running, versions, worker_failures
from geodes_lab.cluster.places import local
from geodes_lab.cluster.size import size
from tests.support.awaiting import awaited
from tests.support.servers.keyed import KeyedS3, credential_process


@pytest.fixture
def small(monkeypatch, tmp_path) -> Iterator[None]:
    """A server of 2 GiB and two cores."""
    monkeypatch.setenv("MEM_LIMIT", str(2 * 2**30))
    monkeypatch.setenv("CPU_LIMIT", "2")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    yield
    if attached._keeper is not None:
        attached._keeper.close()


class Kernel:
    """Another kernel of the same user: a process that does what it is told, line by line."""

    def __init__(self, folder: Path, **environment: str) -> None:
        code = "import sys\nexec(sys.argv[1])\nprint('ready', flush=True)\nfor line in sys.stdin:\n    try:\n        print(repr(eval(line)), flush=True)\n    except Exception as e:\n        print(f'{type(e).__name__}: {e}', flush=True)"
        path = folder / f"kernel{len(list(folder.glob('kernel*.py')))}.py"
        path.write_text(
            f"if __name__ == '__main__':\n    import geodes_lab as gl, dask.array as da, os, time\n    {code.replace(chr(10), chr(10) + '    ')}\n"
        )
        said = {
            "DASK_GEODES_LAB__CLUSTER__FOLDER": dask.config.get("geodes_lab.cluster.folder"),
            "DASK_GEODES_LAB__CLUSTER__PLACE": "local",
            "DASK_GEODES_LAB__CACHE__FOLDER": str(folder / "cache"),
        }
        self.process = subprocess.Popen(
            [sys.executable, str(path), "pass"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **said, **environment},
        )
        assert self.process.stdout.readline().strip() == "ready"

    def __call__(self, line: str) -> str:
        self.send(line)
        return self.process.stdout.readline().strip()

    def send(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture
def kernels(tmp_path, small) -> Iterator[Callable[..., Kernel]]:
    started: list[Kernel] = []

    def start(**environment: str) -> Kernel:
        started.append(Kernel(tmp_path, **environment))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_workers_import_what_reading_needs_before_a_task_comes(small):
    with dask.config.set({"geodes_lab.cluster.ahead": True}):
        client = gl.attach()
    assert client.submit(abs, -1).result() == 1

    def ready() -> bool:
        has = client.run(lambda: "geodes_lab.cube.mosaic" in __import__("sys").modules)
        return bool(has) and all(has.values())

    awaited(ready, 60)


def test_one_client_and_changes_of_it(small):
    client = gl.attach()
    assert isinstance(client, Client)
    assert gl.attach() is client
    assert client.submit(abs, -1).result() == 1
    (one,) = gl.clusters()
    assert (one.place, one.workers, one.threads, one.reserved) == ("local", 1, 2, int(2 * 2**30 * 0.6))
    assert one.dashboard.startswith("/user/ada/proxy/")
    other = gl.attach(workers=2, memory="512MiB")
    assert other is not client, "workers of another memory are another cluster"
    (one,) = gl.clusters()
    assert (one.workers, one.reserved) == (2, 2**30)
    assert gl.attach(workers=1) is other
    awaited(lambda: len(other.cluster.workers) == 1)
    assert gl.attach(adaptive=True, workers=2) is other
    gl.clusters().stop()
    assert len(gl.clusters()) == 0
    assert "no cluster" in repr(gl.clusters())


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"workers": 0}, "workers is a number of workers, at least 1, not 0"),
        ({"workers": "two"}, "not 'two'"),
        ({"memory": "much"}, "memory is that of each worker, such as '4GiB', not 'much'"),
        ({"memory": "1MB"}, "'1MB' is too little"),
        (
            {"workers": 3, "memory": "1GiB"},
            r"3 workers of 1.00 GiB do not fit: Dask workers of this server may use 1.20 GiB",
        ),
        ({"place": "moon"}, "A cluster is local, gateway or slurm, not 'moon'"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_starts(small, said, sentence):
    with pytest.raises(gl.GeodesError, match=sentence):
        gl.attach(**said)
    assert len(gl.clusters()) == 0


def test_settings_that_make_no_sense_are_said(small, tmp_path):
    with (
        dask.config.set({"geodes_lab.cluster.idle": "soon"}),
        pytest.raises(gl.GeodesError, match="idle is a time, such as"),
    ):
        gl.attach()
    with (
        dask.config.set({"geodes_lab.cluster.spill": str(Path.home())}),
        pytest.raises(gl.GeodesError, match="no folder on a local disk"),
    ):
        gl.attach()
    (tmp_path / "link").symlink_to(tmp_path)
    with (
        dask.config.set({"geodes_lab.cluster.folder": str(tmp_path / "link")}),
        pytest.raises(gl.GeodesError, match="a link, which may lead to files of another account"),
    ):
        gl.clusters()


def test_workers_spill_to_a_local_disk_and_not_into_the_home(small, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    assert local.spill_folder().startswith("/var/tmp/"), "TMPDIR lies in the home"
    monkeypatch.setenv("HOME", "/nowhere")
    assert local.spill_folder().startswith(str(tmp_path / "tmp"))
    if Path("/dev/shm").is_dir() and local._kind(Path("/dev/shm")) == "tmpfs":
        monkeypatch.setenv("TMPDIR", "/dev/shm")
        assert local.spill_folder().startswith("/var/tmp/"), "what lies in memory is no relief"


def test_client_of_the_users_own_is_left_alone(small):
    with LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as own, Client(own) as client:
        assert gl.attach() is client
        assert len(gl.clusters()) == 0


def test_dashboard_answers_its_owner_alone(small):
    client = gl.attach()
    port, secret = client.cluster.scheduler.http_server.port, dashboard_gate.close(client.cluster.scheduler)

    def status(path: str, port: int = port) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status if f":{port}/" in answer.url else 0
        except urllib.error.HTTPError as error:
            return -1 if secret in str(error.headers) + error.read().decode() else error.code

    pages = [
        "/",
        "/status",
        "/workers",
        "/info/main/workers.html",
        "/json/identity.json",
        "/metrics",
        "/health",
        "/individual-plots.json",
    ]
    for page in [*pages, f"/{secret[:-1]}x/status", f"/{secret}", "//status"]:
        assert status(page) == 404
    for page in pages[1:]:
        assert status(f"/{secret}{page}") == 200, "the gate is not simply shut"
    (worker,) = client.cluster.scheduler.workers.values()
    for page in [*pages, "/sitemap.json"]:  # distributed's list of all pages, with the prefix that nobody should know
        assert status(page) == 404
        assert status(page, worker.services["dashboard"]) == 404


@pytest.mark.attack
def test_stranger_is_refused_and_leaves_no_trace(small):
    """A process of this machine that has the address: TLS without the cluster's own keys gets nowhere."""
    client = gl.attach()
    code = (
        "import distributed, sys\n"
        "for p, s in (('tcp', None), ('tls', distributed.Security.temporary())):\n"
        "    try:\n"
        "        distributed.Client(f'{p}://' + sys.argv[1], timeout=3, security=s).submit(len, 'x').result()\n"
        "    except OSError:\n"
        "        print('refused')\n"
    )
    address = client.scheduler.address.removeprefix("tls://")
    done = subprocess.run([sys.executable, "-c", code, address], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["refused", "refused"]
    assert client.submit(abs, -2).result() == 2
    assert not any("len" in str(k) for k in client.cluster.scheduler.tasks)


def test_two_kernels_of_a_user_share_the_memory_of_the_server(kernels):
    """The second takes what the first does not use; while the first holds results it is said who has what."""
    a, b = kernels(), kernels()
    assert a("gl.attach().submit(abs, -1).result()") == "1"
    assert b("gl.attach().submit(abs, -2).result()") == "2", "the idle one made room"
    assert a("len(gl.clusters())") == "1"
    assert a("gl.attach().submit(abs, -3).result()") == "3", "and comes back when it is needed"
    assert a("globals().__setitem__('held', gl.attach().persist(da.ones(10, chunks=5)))") == "None"
    assert awaited(lambda: [c for c in gl.clusters() if c.held])
    said = b("gl.attach()")
    assert said.startswith("GeodesError: There is no memory left for another cluster: local ")
    assert "uses 1.20 GiB and holds results" in said
    assert sum(c.reserved for c in gl.clusters()) <= 1.2 * 2**30
    gl.clusters().stop()
    assert b("gl.attach().submit(abs, -4).result()") == "4"


@pytest.mark.slow
def test_two_users_at_once_stay_inside_their_memory(kernels, sample):
    """Each has a server of its own, and computes a median of all dates; nothing but their settings keeps them small."""
    limit = 3 * 2**29
    said = {
        "MEM_LIMIT": str(limit),
        "DASK_GEODES_LAB__CATALOG__PROFILES__LOCAL__URL": str(sample / "catalog" / "catalog.json"),
        "DASK_GEODES_LAB__DATALAKE__MIRROR": str(sample / "datalake"),
    }
    users = [kernels(**said, JUPYTERHUB_SERVICE_PREFIX=f"/user/{name}/") for name in ("ada", "bob")]
    for one in users:
        assert one("len(gl.attach().scheduler_info()['workers'])") == "1"
    for one in users:
        one.send(
            "float(gl.open_cube(gl.search('PEPS_S2_L1C'), bands=['red']).red.chunk(time=-1).median('time').mean())"
        )
    peaks = [0, 0]
    waiting = set(range(2))
    answers: dict[int, str] = {}
    readers = [
        threading.Thread(target=lambda n=n: answers.update({n: users[n].process.stdout.readline()})) for n in range(2)
    ]
    for reader in readers:
        reader.start()
    while waiting:
        for n in list(waiting):
            family = [psutil.Process(users[n].process.pid)]
            family += family[0].children(recursive=True)
            peaks[n] = max(peaks[n], sum(_resident(p) for p in family))
            if n in answers:
                waiting.discard(n)
        time.sleep(0.05)
    assert answers[0] == answers[1]
    assert 0 < float(answers[0]) < 1
    assert all(2**28 < peak < limit for peak in peaks), peaks


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def test_kernel_that_is_killed_leaves_neither_process_nor_entry(kernels):
    a = kernels()
    a("gl.attach().submit(abs, -1).result()")
    family = psutil.Process(a.process.pid).children(recursive=True)
    assert family
    a.process.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert len(gl.clusters()) == 0


def test_idle_cluster_stops_and_the_next_computation_starts_another(kernels):
    a = kernels(DASK_GEODES_LAB__CLUSTER__IDLE="1s")
    first = a(
        "(__import__('dask').config.set(scheduler=gl.cluster.get), da.ones(4).sum().compute(), gl.attach().id)[2]"
    )
    awaited(lambda: len(gl.clusters()) == 0)
    assert a("da.ones(4).sum().compute()") in ("4.0", "np.float64(4.0)")
    assert a("gl.attach().id") != first
    a("globals().__setitem__('held', gl.attach().persist(da.ones(10, chunks=5)))")
    time.sleep(2.5)  # longer than it may be idle: it is not, since it holds results
    assert len(gl.clusters()) == 1


def test_entries_are_for_their_owner_alone(small):
    gl.attach()
    files = [*running.folder().parent.rglob("*"), running.folder().parent]
    assert files
    for path in files:
        assert path.stat().st_mode & 0o077 == 0 or (path.name == "lock" and path.parent.stat().st_mode & 0o077 == 0)


def test_settings_of_now_reach_workers_that_run(small, tmp_path):
    client = gl.attach()
    ask = "__import__('geodes_lab').settings.get('datalake.endpoint')"
    before = client.submit(eval, ask, pure=False).result()
    with dask.config.set({"geodes_lab.datalake.endpoint": "http://127.0.0.1:1"}):
        assert client.submit(eval, ask, pure=False).result() == "http://127.0.0.1:1"
    assert client.submit(eval, ask, pure=False).result() == before


def test_keys_reach_the_workers_and_are_renewed_there(small, tmp_path, sample, monkeypatch):
    """Keys that live for three seconds, for a while: workers have them from the kernel, in no graph and no environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for lifetime in (3, 12, 48):  # on a busy machine a key may end on its way
        try:
            _compute_for_two_lives(lifetime, sample, tmp_path)
            break
        except gl.GeodesError as error:
            if "ExpiredToken" not in str(error) or lifetime == 48:
                raise
            attached._keeper.close()


def _compute_for_two_lives(lifetime, sample, folder):
    credentials.lend_by(None)
    with KeyedS3(sample / "datalake", lifetime=lifetime) as lake:
        settings = {
            "geodes_lab.catalog.profiles.local.url": str(sample / "catalog" / "catalog.json"),
            "geodes_lab.datalake.mirror": None,
            "geodes_lab.datalake.endpoint": lake.url,
            "geodes_lab.credentials.s3.command": credential_process(folder / "assume.py", lake, "t0k3n"),
        }
        with dask.config.set(settings):
            client = gl.attach()
            items = gl.search("PEPS_S2_L1C", datetime="2021-06-05")
            cube = gl.open_cube(items, bands=["red"], bbox=(1.80, 43.58, 1.82, 43.60))
            first = float(cube.red.mean())
            issued = lake.issued
            until = time.monotonic() + 180
            while lake.issued < issued + 2:  # two lives of a key, however slow the machine is
                assert time.monotonic() < until
                client.run(_forget_tiles)
                assert float(cube.red.mean()) == first
            shown = client.run(_environment)
            assert not any(secret in text for secret in lake.given for text in shown.values())
            events = json.dumps([str(e) for e in client.get_events().items()])
            logs = str(client.get_scheduler_logs()) + str(client.get_worker_logs())
            assert not any(secret in events + logs + repr(client) for secret in lake.given)


def _forget_tiles() -> None:
    from geodes_lab.formats import tile_cache

    tile_cache.forget()


def _environment() -> str:
    return str(dict(os.environ)) + str(dask.config.config)


def test_key_that_the_user_sets_in_the_notebook_reaches_workers(small, monkeypatch):
    credentials.lend_by(None)
    client = gl.attach()
    ask = "dict(__import__('geodes_lab.credentials').credentials.current('api_key') or {})"
    assert client.submit(eval, ask, pure=False).result() == {}
    monkeypatch.setenv("GEODES_API_KEY", "mine")
    awaited(lambda: client.submit(eval, ask, pure=False).result() == {"key": "mine"})


def test_worker_that_dies_of_memory_says_so(small, capsys):
    client = gl.attach(workers=1, memory="512MiB")
    client.cluster.scheduler.allowed_failures = 0
    with pytest.raises(gl.GeodesError) as caught:
        client.submit(_devour, 2**30).result()
    said = str(caught.value)
    assert said.startswith("A worker was killed at ")
    assert "of 512.00 MiB while computing devour. Its work was stopped after 1 worker failed with it." in said
    assert "take a larger profile of the server" in said
    assert capsys.readouterr().err == "", "it is said once"


def test_advice_of_the_sentence_works_as_it_is_written(on_disk):
    event = {
        "worker": "0",
        "memory": 2**31,
        "limit": 2**31,
        "of_memory": True,
        "at": "computing median",
        "given_up": "median",
        "tries": 4,
        "workers": 1,
    }
    (chunks,) = re.findall(r"chunks=(\{.*?\}) in gl\.open_cube", worker_failures.sentence(event, "local"))
    items = gl.search("PEPS_S2_L1C", datetime="2021-06-05")
    for grid in ({}, {"crs": "EPSG:4326", "resolution": 0.0002}):
        cube = gl.open_cube(items, bands=["red"], chunks=ast.literal_eval(chunks), **grid)
        assert max(max(sizes) for sizes in cube.red.chunks[1:]) == 1024


def _devour(size: int) -> int:
    held = []
    for _ in range(size // 2**24):
        held.append(np.ones(2**24, np.uint8))
        time.sleep(0.02)  # memory is looked at each 0.1 s
    time.sleep(5)
    return len(held)


# Of the long ones: a median of several dates; the worker that dies of memory says the same sentence.
@pytest.mark.slow
def test_worker_that_is_lost_is_told_with_what_it_was_at(small, capsys, sample, on_disk):
    """Killed in the middle of a median of several dates: the result is right all the same."""
    client = gl.attach()
    items = gl.search("PEPS_S2_L1C")
    cube = gl.open_cube(items, bands=["red"], bbox=(1.80, 43.58, 1.84, 43.61))
    median = cube.red.chunk({"time": -1}).median("time")
    expected = median.compute()
    (pid,) = client.run(os.getpid).values()
    slow = median.data.map_blocks(_slowly, dtype=median.dtype)
    future = client.compute(slow)
    awaited(lambda: [t for t in client.cluster.scheduler.tasks.values() if t.state == "processing"])
    psutil.Process(pid).kill()
    assert np.array_equal(future.result(), expected.values, equal_nan=True)
    said = awaited(lambda: capsys.readouterr().err)
    print(said)
    assert "A worker was lost while" in said
    assert "Another worker repeats its work." in said


def _slowly(block: np.ndarray) -> np.ndarray:
    time.sleep(1)
    return block


# Of the long ones: each worker is started three times.
@pytest.mark.slow
def test_scheduler_that_restarts_gives_the_result_or_one_sentence(small):
    client = gl.attach()
    x = da.ones((100, 100), chunks=10)
    assert float(x.sum().compute()) == 10_000
    client.restart()
    assert float(x.sum().compute()) == 10_000
    assert client.submit(eval, "__import__('geodes_lab').settings.get('cluster.place')").result() == "local", (
        "workers that came have the settings"
    )


def test_other_software_is_refused_in_plain_words():
    theirs = {**versions.here(), "dask": "2020.1.0", "python": "3.9.2"}
    theirs.pop("zarr")
    with pytest.raises(gl.GeodesError) as caught:
        versions.refuse(theirs, "The gateway's scheduler", "Start your server anew.")
    said = str(caught.value)
    for part in (
        "python 3.9.2 where this kernel has",
        "dask 2020.1.0 where",
        "zarr not at all where",
        "Start your server anew.",
    ):
        assert part in said
    assert "xarray" not in said
    versions.refuse(eval(versions.ASK), "I", "")
    last = versions.here()["python"].rsplit(".", 1)[0] + ".99"
    versions.refuse({**versions.here(), "python": last}, "I", "")


def test_size_follows_profile_and_settings(small):
    assert size().memory == int(2 * 2**30 * 0.6)
    with dask.config.set({"geodes_lab.cluster.memory": "1GiB", "geodes_lab.cluster.cores": 6}):
        assert (size().count, size().threads, size().memory) == (2, 3, 2**29)
        assert cluster.workers() == size()


def test_operator_may_let_dask_have_less_than_the_profile_has(small, monkeypatch):
    monkeypatch.setenv("GEODES_LAB_DASK_CORES", "1")
    monkeypatch.setenv("GEODES_LAB_DASK_MEMORY", str(2**29))
    assert (size().count, size().threads, size().memory) == (1, 1, 2**29)
    monkeypatch.setenv("GEODES_LAB_DASK_CORES", "0")
    monkeypatch.setenv("GEODES_LAB_DASK_MEMORY", "0")
    assert (size().threads, size().memory) == (2, int(2 * 2**30 * 0.6)), "nothing said"


def test_cluster_that_computes_is_use_of_the_server_and_the_panel_stops_it(small):
    from hub.singleuser import clusters as panel

    client, settings = gl.attach(), {}
    ours = panel.Clusters()
    (model,) = ours.list_clusters()
    assert (model["workers"], model["cores"]) == (1, 2)
    assert not panel.note(settings)
    assert settings == {}
    future = client.submit(time.sleep, 20, pure=False)
    awaited(lambda: panel.note(settings))
    assert set(settings) == {"geodes_lab_clusters_last_activity", "last_activity_times"}
    future.cancel()
    assert ours.get_cluster("none") is None
    asyncio.run(ours.close_cluster(model["id"]))
    assert ours.list_clusters() == []
    with pytest.raises(Exception, match="belongs to a notebook"):
        asyncio.run(ours.start_cluster())


def test_panel_scales_a_cluster_and_says_what_does_not_fit(small):
    from tornado.web import HTTPError

    from hub.singleuser import clusters as panel

    client, ours = gl.attach(workers=1, memory="400MiB"), panel.Clusters()
    (model,) = ours.list_clusters()
    asyncio.run(ours.scale_cluster(model["id"], 2))
    awaited(lambda: ours.get_cluster(model["id"])["workers"] == 2)
    with pytest.raises(HTTPError, match="50 workers of this size do not fit beside your other clusters"):
        asyncio.run(ours.scale_cluster(model["id"], 50))
    with pytest.raises(HTTPError, match="workers is a number of workers, at least 1, not 0"):
        asyncio.run(ours.scale_cluster(model["id"], 0))
    with pytest.raises(HTTPError, match="minimum must be a number of workers, 0 to 2, not 3"):
        ours.adapt_cluster(model["id"], 3, 2)
    with pytest.raises(HTTPError, match="This cluster has ended"):
        asyncio.run(ours.scale_cluster("none", 2))
    ours.adapt_cluster(model["id"], 1, 2)
    awaited(lambda: ours.get_cluster(model["id"])["workers"] == 1)
    asyncio.run(ours.scale_cluster(model["id"], 2))
    awaited(lambda: ours.get_cluster(model["id"])["workers"] == 2)
    assert client.submit(abs, -1).result() == 1


@pytest.mark.slow  # waits for worker-ttl
def test_worker_that_holds_pythons_lock_for_too_long_is_replaced(small, capsys):
    with dask.config.set({"distributed.scheduler.worker-ttl": "3s"}):
        client = gl.attach()
    client.cluster.scheduler.allowed_failures = 0
    with pytest.raises(gl.GeodesError, match="Its work was stopped after 1 worker failed with it"):
        client.submit(re.match, "(a+)+$", "a" * 60 + "b").result()
    said = capsys.readouterr().err
    assert "Worker 0 of your cluster has not answered for " in said
    assert client.submit(abs, -1).result() == 1, "the worker in its place works"


@pytest.mark.slow  # waits for three starts of a worker
def test_cluster_whose_workers_start_no_more_is_given_up_in_a_sentence(small):
    client = gl.attach()
    (pid,) = client.run(os.getpid).values()
    client.cluster.worker_spec[0]["options"]["preload"] = ["no_such_module"]
    future = client.submit(time.sleep, 600)
    awaited(lambda: future.key in client.cluster.scheduler.tasks)
    psutil.Process(pid).send_signal(signal.SIGINT)  # it says good-bye to its nanny, which ends
    with pytest.raises(gl.GeodesError, match="Your cluster lost its workers, and 3 attempts to start others failed"):
        client.gather(future)
    assert gl.attach().submit(abs, -1).result() == 1


# Of the long ones: it holds up a scheduler for seconds; the kernels of test_interrupt.py interrupt too.
@pytest.mark.slow
def test_graph_that_is_still_built_when_it_is_interrupted_never_comes_to_life(small, monkeypatch, tmp_path):
    """Distributed's scheduler hears that nobody wants it before it knows it, and would compute it for ever."""
    client = gl.attach()
    order, asked, go = dask.order.order, threading.Event(), threading.Event()

    def slowly(*arguments, **said):
        asked.set()
        go.wait(60)
        return order(*arguments, **said)

    monkeypatch.setattr(dask.order, "order", slowly)
    threading.Thread(target=lambda: asked.wait(60) and os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        da.ones(4, chunks=1).map_blocks(_slowly, meta=np.empty(0)).sum().compute()
    scheduler = client.cluster.scheduler
    assert scheduler._active_graph_updates == 1
    go.set()
    awaited(lambda: scheduler._active_graph_updates == 0)
    awaited(lambda: not scheduler.tasks)


def test_quota_that_is_used_up_is_said_before_a_cluster_starts(small, monkeypatch):
    told: list[str] = []

    class Accounts(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.append(f"{self.path} {self.headers['Authorization']}")
            body = json.dumps({"allowed": False, "reason": "You have used 100 of 100 core-hours of November."}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Accounts) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("GEODES_LAB_USAGE", f"http://127.0.0.1:{server.server_port}/services/usage")
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "mine")
        with pytest.raises(
            gl.GeodesError,
            match=r"No new cluster can start: You have used 100 of 100 core-hours of November. Running clusters continue.",
        ):
            gl.attach()
        server.shutdown()
    assert told == ["/services/usage/api/limits token mine"]
    monkeypatch.setenv("GEODES_LAB_USAGE", "http://127.0.0.1:9")
    assert gl.attach().submit(abs, -1).result() == 1, "where nobody answers nobody is kept from work"
