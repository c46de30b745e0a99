"""The kernel that waits becomes that of the first notebook, as one that starts then would be."""

import asyncio
import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
from jupyter_client.kernelspec import KernelSpecManager

from hub.singleuser.kernels import waiting
from tests.support.paths import TOP

COMMAND = [sys.executable, str(TOP / "kernels" / "geodes" / "kernel.py"), "-f", "x.json"]


@pytest.fixture
def begun(monkeypatch, tmp_path):
    """A server that has begun, with the folder of its sockets."""
    runtime = tmp_path / "r"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("GEODES_LAB_RUNTIME", str(runtime))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(runtime))
    monkeypatch.delenv("GEODES_LAB_WAITING", raising=False)
    monkeypatch.delenv("MEM_LIMIT", raising=False)
    monkeypatch.setattr(waiting.Manager, "waiting", None)
    monkeypatch.chdir(tmp_path)
    configuration = SimpleNamespace(MappingKernelManager=SimpleNamespace())
    waiting.begin(configuration)
    yield waiting.Manager.waiting
    assert configuration.MappingKernelManager.kernel_manager_class == "hub.singleuser.kernels.waiting.Manager"
    waiting.Manager.waiting.take([], {}, "")


def test_it_is_the_first_kernel_and_no_other(begun, tmp_path):
    (tmp_path / "notebooks").mkdir()
    code = (
        "import os, sys; print(os.getcwd(), os.environ['JPY_SESSION_NAME'], os.getppid(), len(sys.argv), gl.__name__)"
    )

    async def first() -> tuple[int, list[str], int, int]:
        manager = waiting.Manager(
            kernel_name="geodes",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(TOP / "kernels")]),
            transport="ipc",
            connection_file=str(tmp_path / "r" / "k.json"),
        )
        await manager._async_start_kernel(
            cwd=str(tmp_path / "notebooks"), env={**begun._environment, "JPY_SESSION_NAME": "a.ipynb"}
        )
        client = manager.client()
        client.start_channels()
        shown: list[str] = []

        def collect(message: dict) -> None:
            shown.append(message["content"].get("text", ""))

        try:
            await client._async_wait_for_ready(timeout=120)
            process = manager.provisioner.pid
            await client._async_execute_interactive(code, timeout=120, output_hook=collect)
            logged = "import logging, distributed; logging.getLogger('distributed.one').error('a word')"
            await client._async_execute_interactive(logged, timeout=120, output_hook=collect)
            await manager._async_restart_kernel(now=True)
            return process, shown, manager.provisioner.pid, await manager.provisioner.poll()
        finally:
            client.stop_channels()
            await manager._async_shutdown_kernel(now=True)

    waited = begun._process.pid
    process, shown, restarted, ended = asyncio.run(first())
    assert process == waited != restarted
    assert ended is None
    expected = [str(tmp_path / "notebooks"), "a.ipynb", str(os.getpid()), "1", "geodes_lab"]
    assert "".join(shown).splitlines()[0].split()[:3] == expected[:3]
    assert "a word" in "".join(shown)  # below the cell, not in the log of the server


@pytest.mark.parametrize("other", ["environment", "python", "program"])
def test_another_kernel_does_not_get_it(begun, other):
    process = psutil.Process(begun._process.pid)
    environment = {**begun._environment, "JPY_SESSION_NAME": "a.ipynb"}
    command = list(COMMAND)
    if other == "environment":
        environment["NUMBA_NUM_THREADS"] = environment.get("NUMBA_NUM_THREADS", "") + "1"
    else:
        command[("python", "program").index(other)] = "/somewhere/else"
    assert begun.take(command, environment, "/") is None
    assert not process.is_running()
    assert begun.take(COMMAND, dict(os.environ), "/") is None  # there is none any more


def test_one_that_has_ended_is_not_given(begun):
    begun._process.kill()
    begun._process.wait()
    assert begun.take(COMMAND, dict(os.environ), "/") is None


@pytest.mark.parametrize(
    ("name", "value"), [("GEODES_LAB_WAITING", "no"), ("MEM_LIMIT", str(2**30)), ("GEODES_LAB_RESCUE", "full")]
)
def test_a_server_may_have_none(monkeypatch, name, value):
    monkeypatch.setattr(waiting.Manager, "waiting", None)
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(subprocess, "Popen", None)
    waiting.begin(SimpleNamespace())
    assert waiting.Manager.waiting is None
