"""What one cell of a notebook gave when it ran: its outputs as nbformat has them, bounded in size."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

LARGEST = 2**23
"""Bytes of one cell's outputs that are kept."""
_CUT = f"\nMore was printed than is kept while no window is open ({LARGEST // 2**20} MiB): the rest is not here.\n"
_ENDED = "The kernel ended before this cell did.\n"
_ASKS = (
    "\nThis cell waits for an answer to {prompt}, which was asked by input(). Its window is closed, so that nobody can "
    "answer: interrupt the kernel (■), and run the cell again.\n"
)
_OUTPUTS = ("display_data", "execute_result", "error")


@dataclass
class Execution:
    """A cell that runs or ran."""

    id: str
    """The request's own."""
    cell: str
    source: str
    session: str
    """The connection that asked for it."""
    count: int | None = None
    outputs: list[dict[str, Any]] = field(default_factory=list)
    version: int = 0
    """Grows with each change."""
    has_begun: bool = False
    finished: float | None = None
    """Seconds since 1970."""
    is_attended: bool = False
    """Whether its window was open when it ended: then the window has the outputs, and may have saved them."""
    _changed: list[int] = field(default_factory=list)  # the version of each output
    _cleared: int = 0
    _displays: dict[str, int] = field(default_factory=dict)
    _size: int = 0
    _is_cut: bool = False
    _question: str | None = None  # that has no answer yet
    _clears_next: bool = False

    def take(self, message: dict[str, Any]) -> None:
        """Take a message of the kernel that this execution caused."""
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "status":
            self.has_begun = True
            if content["execution_state"] == "idle":
                self.finished, self.version = time.time(), self.version + 1
        elif kind == "execute_input":
            self.count, self.version = content["execution_count"], self.version + 1
        elif kind == "clear_output":
            self._clears_next = bool(content.get("wait"))
            if not self._clears_next:
                self._clear()
        elif kind in ("geodes_lab_asks", "geodes_lab_has_asked"):  # the lab's kernel: kernels/geodes/kernel.py
            self._question = str(content["prompt"])[:200] if "prompt" in content else None
        elif kind == "stream":
            self._print(content["name"], content["text"])
        elif kind in _OUTPUTS:
            self._add({"output_type": kind, **{k: v for k, v in content.items() if k != "transient"}})
            if display := (content.get("transient") or {}).get("display_id"):
                self._displays[display] = len(self.outputs) - 1

    def update(self, content: dict[str, Any]) -> None:
        """Show something else in the place of what was displayed under the same id, by whichever cell."""
        place = self._displays.get((content.get("transient") or {}).get("display_id", ""), len(self.outputs))
        if place < len(self.outputs) and self._fits(content["data"]):
            self._touch(place, {**self.outputs[place], "data": content["data"], "metadata": content["metadata"]})

    def end(self) -> None:
        """The kernel is gone: what has not ended does not end any more."""
        if self.finished is None:
            self._print("stderr", _ENDED, force=True)
            self.finished, self.version = time.time(), self.version + 1

    def say_what_it_waits_for(self) -> None:
        """Say among the outputs, once, that the cell waits for an answer that nobody can give; its window is closed."""
        if self._question is not None and self.finished is None:
            self._print("stderr", _ASKS.format(prompt=repr(self._question)), force=True)
            self._question = None

    def after(self, version: int) -> dict[str, Any]:
        """Return what has changed since a version: the outputs from the first changed one on."""
        first = 0 if self._cleared > version else len(self.outputs)
        first = next((i for i, v in enumerate(self._changed[:first]) if v > version), first)
        return {
            "id": self.id, "cell": self.cell, "source": self.source, "count": self.count, "version": self.version,
            "running": self.finished is None, "from": first, "outputs": self.outputs[first:],
        }  # fmt: skip

    @property
    def size(self) -> int:
        """Bytes of the outputs, about."""
        return self._size

    def record(self) -> dict[str, Any]:
        """Return it as JSON, after its end."""
        names = ("id", "cell", "source", "count", "outputs", "finished")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def of(cls, record: dict[str, Any]) -> Execution:
        """Return what `record` gave."""
        return cls(**record, session="", version=1, has_begun=True, _changed=[1] * len(record["outputs"]))

    def _print(self, name: str, text: str, *, force: bool = False) -> None:
        last = self.outputs[-1] if self.outputs and not self._clears_next else {}
        if last.get("name") != name:
            self._add({"output_type": "stream", "name": name, "text": overwritten(text)}, force=force)
            return
        whole = last["text"] + text
        begin = last["text"].rfind("\n") + 1  # the last line alone can be written over
        folded = whole[:begin] + overwritten(whole[begin:])
        if force or self._fits(text):
            self._size += len(folded) - len(whole)
            self._touch(len(self.outputs) - 1, {**last, "text": folded})

    def _add(self, output: dict[str, Any], *, force: bool = False) -> None:
        if self._clears_next:
            self._clear()
        if force or self._fits(output):
            self.outputs.append(output)
            self._changed.append(0)
            self._touch(len(self.outputs) - 1, output)

    def _fits(self, output: Any) -> bool:
        if self._is_cut:
            return False
        self._size += len(output) if isinstance(output, str) else len(json.dumps(output))
        self._is_cut = self._size > LARGEST
        if self._is_cut:
            self.outputs.append({"output_type": "stream", "name": "stderr", "text": _CUT})
            self._changed.append(0)
            self._touch(len(self.outputs) - 1, self.outputs[-1])
        return not self._is_cut

    def _touch(self, place: int, output: dict[str, Any]) -> None:
        self.version += 1
        self.outputs[place], self._changed[place] = output, self.version

    def _clear(self) -> None:
        self.version += 1
        self.outputs, self._changed, self._displays = [], [], {}
        self._cleared, self._size, self._is_cut, self._clears_next = self.version, 0, False, False


def overwritten(text: str) -> str:
    """Return what is seen of a text in which each ``\\r`` goes back to the begin of its line, as progress bars do."""
    if "\r" not in text:
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line[line.rfind("\r", 0, len(line.rstrip("\r"))) + 1 :] for line in lines)
