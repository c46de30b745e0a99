"""Outputs of cells that nobody watched: folded as a notebook has them, bounded, and kept over the server's end."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

from hub.singleuser.kernels.executions import LARGEST, Execution, overwritten
from hub.singleuser.kernels.recording import Recorder
from tests.support.paths import TOP


def message(kind: str, **content) -> dict:
    return {"header": {"msg_type": kind}, "parent_header": {"msg_id": "m"}, "content": content}


def stream(text: str, name: str = "stdout") -> dict:
    return message("stream", name=name, text=text)


def display(text: str, kind: str = "display_data", **transient) -> dict:
    return message(kind, data={"text/plain": text}, metadata={}, transient=transient)


def execution() -> Execution:
    return Execution("m", "cell", "print()", "kernel:session")


MESSAGES = st.one_of(
    st.builds(stream, st.text("ab\r\n", max_size=6), st.sampled_from(["stdout", "stderr"])),
    st.builds(lambda t, d: display(t, display_id=d), st.text("xy", max_size=3), st.sampled_from(["1", "2"])),
    st.builds(lambda wait: message("clear_output", wait=wait), st.booleans()),
)


@given(st.lists(MESSAGES, max_size=30), st.lists(st.integers(0, 30), max_size=5))
def test_window_that_asks_again_and_again_has_what_one_has_that_asks_once(messages, asks):
    one, window, version = execution(), [], -1
    for number, each in enumerate(messages):
        one.take(each)
        if number in asks:
            change = one.after(version)
            window = [*window[: change["from"]], *change["outputs"]]
            version = change["version"]
            assert window == one.outputs
    change = one.after(version)
    assert [*window[: change["from"]], *change["outputs"]] == one.outputs == one.after(-1)["outputs"]
    for output in one.outputs:
        nbformat.validate(nbformat.from_dict(output), ref="output", version=4)


@pytest.mark.parametrize(
    ("printed", "seen"),
    [
        ("10 %\r20 %\r30 %", "30 %"),
        ("10 %\r20 %\r", "20 %\r"),
        ("a\r\nb", "a\nb"),
        ("a\n1\r2\nb", "a\n2\nb"),
    ],
)
def test_progress_bar_takes_one_line(printed, seen):
    assert overwritten(printed) == seen


def test_progress_bar_of_hours_stays_small():
    one = execution()
    for n in range(20_000):
        one.take(stream(f"\r{n:>200}"))
    assert one.outputs == [{"output_type": "stream", "name": "stdout", "text": f"{19_999:>200}"}]
    assert one.size < 1000


def test_what_is_too_large_is_cut_and_says_so():
    one = execution()
    for _ in range(40):
        one.take(stream("x" * (LARGEST // 16)))
    assert sum(len(o["text"]) for o in one.outputs) < LARGEST + 1000
    assert "More was printed than is kept" in one.outputs[-1]["text"]
    one.take(message("clear_output", wait=False))
    one.take(stream("anew"))
    assert [o["text"] for o in one.outputs] == ["anew"]


def test_display_is_updated_by_another_cell():
    one = execution()
    one.take(display("before", display_id="d"))
    version = one.version
    one.update(display("after", "update_display_data", display_id="d")["content"])
    one.update(display("never", "update_display_data", display_id="e")["content"])
    assert one.after(version)["outputs"] == [
        {"output_type": "display_data", "data": {"text/plain": "after"}, "metadata": {}}
    ]


class Kernels(dict):
    get_kernel = dict.__getitem__


class Sessions:
    def __init__(self, *paths: str) -> None:
        self._paths = paths

    def list_sessions(self):
        return [{"type": "notebook", "path": p, "kernel": {"id": f"kernel of {p}"}} for p in self._paths]


def recorder(folder, kernels: dict, *paths: str) -> Recorder:
    model = {"last_modified": SimpleNamespace(timestamp=lambda: 0.0)}
    contents = SimpleNamespace(get=lambda path, content: model)
    app = SimpleNamespace(kernel_manager=Kernels(kernels), session_manager=Sessions(*paths), contents_manager=contents)
    return Recorder(app, folder)


def test_what_nobody_saw_outlives_the_server(tmp_path):
    kernel = "kernel of a.ipynb"
    first = recorder(tmp_path, {kernel: SimpleNamespace(execution_state="busy")}, "a.ipynb")
    first.begin(kernel, execution())
    first._hear(kernel, message("status", execution_state="busy"))
    first._hear(kernel, stream("half"))
    (seen,) = asyncio.run(first.missed("a.ipynb"))
    assert seen.finished is None
    assert asyncio.run(first.missed("b.ipynb")) == []
    first.stop()
    assert [oct(f.stat().st_mode & 0o777) for f in tmp_path.iterdir()] == ["0o600"]
    second = recorder(tmp_path, {})
    (kept,) = asyncio.run(second.missed("a.ipynb"))
    assert [o["text"] for o in kept.outputs] == ["half", "The kernel ended before this cell did.\n"]
    assert not kept.after(-1)["running"]
    json.dumps(kept.after(-1))
    asyncio.run(second.forget("a.ipynb", {"m"}))
    assert asyncio.run(second.missed("a.ipynb")) == []
    assert list(tmp_path.iterdir()) == []


def test_cell_that_an_error_before_it_kept_from_running_gave_nothing(tmp_path):
    kernel = "kernel of a.ipynb"
    first = recorder(tmp_path, {kernel: SimpleNamespace(execution_state="idle")}, "a.ipynb")
    first._hear(kernel, message("status", execution_state="idle"))
    first.begin(kernel, execution())
    assert len(asyncio.run(first.missed("a.ipynb"))) == 1, "a kernel is idle between two cells"
    first._heard[kernel] -= 60
    assert asyncio.run(first.missed("a.ipynb")) == []


def test_damaged_file_is_as_none(tmp_path):
    one = recorder(tmp_path, {})
    one._file("a.ipynb").write_text("[{")
    assert asyncio.run(one.missed("a.ipynb")) == []


def test_cell_that_asks_while_its_window_is_closed_says_what_it_waits_for(tmp_path):
    """A real kernel, whose question goes to nobody; it is answered in the end, so that the same kernel ends the cell."""
    manager = KernelManager(
        kernel_name="geodes", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(TOP / "kernels")])
    )
    manager.start_kernel()
    client = manager.blocking_client()
    name = "kernel of a.ipynb"
    one = recorder(tmp_path, {name: SimpleNamespace(execution_state="busy")}, "a.ipynb")
    try:
        client.start_channels()
        client.wait_for_ready(timeout=120)
        request = client.execute("print('before'); print(input('Which <tile>? '))", allow_stdin=True)
        one.begin(name, Execution(request, "cell", "", "kernel:session"))

        def heard(kind: str) -> None:
            while True:
                told = client.get_iopub_msg(timeout=60)
                one._hear(name, told)
                if told["msg_type"] == kind and told["parent_header"].get("msg_id") == request:
                    return

        heard("geodes_lab_asks")
        for _ in range(2):  # said once
            (seen,) = asyncio.run(one.missed("a.ipynb"))
        assert [o["name"] for o in seen.outputs] == ["stdout", "stderr"]
        assert "waits for an answer to 'Which <tile>? '" in seen.outputs[1]["text"]
        assert seen.outputs[1]["text"].count("interrupt the kernel") == 1
        client.get_stdin_msg(timeout=60)
        client.input("31TCJ")
        heard("geodes_lab_has_asked")
        while seen.finished is None:
            heard("status")
        assert seen.outputs[-1]["text"] == "31TCJ\n"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
