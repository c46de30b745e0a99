"""What a person holds of a job: how far it is, what happened, its results; found again from any kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import pystac
import xarray as xr

from geodes_lab.batch import places, starting
from geodes_lab.batch.running.outputs import CUBE
from geodes_lab.batch.store import chosen as stores
from geodes_lab.batch.store.chosen import AnyStore
from geodes_lab.batch.store.records import ENDED, Failure, Progress, Record
from geodes_lab.catalog.items import Items
from geodes_lab.errors import GeodesError, shown
from geodes_lab.util import progress as bars

_EVERY = 0.5  # seconds between two looks of `Job.wait`
_COLOURS = {"successful": "#2e7d32", "failed": "#c62828", "dismissed": "#757575"}


class JobFailed(GeodesError):
    """A job has failed or was cancelled; what is done of it stays."""


class Job:
    """A job: what `geodes_lab.process` returns and `geodes_lab.jobs` lists.

    Parameters
    ----------
    store
        Where it is remembered.
    id
        Its id there.
    person
        Whose it is; None for a service that sees all.
    """

    def __init__(self, store: AnyStore, id: str, *, person: str | None) -> None:
        self._store, self.id, self._person = store, id, person

    @property
    def record(self) -> Record:
        """What the store has of it now: process, title, state, times."""
        return self._store.job(self.id, self._person)

    @property
    def status(self) -> str:
        """``accepted``, ``running``, ``successful``, ``failed`` or ``dismissed``."""
        return self.record.state

    @property
    def message(self) -> str:
        """A sentence about its end; empty before."""
        return self.record.message

    @property
    def progress(self) -> Progress:
        """How many units are done, of how many."""
        return self._store.progress(self.id, self._person)

    @property
    def log(self) -> Log:
        """What happened, a sentence with its time each."""
        return Log(self._store.log(self.id, self._person))

    @property
    def failures(self) -> list[Failure]:
        """The units that failed or wait for another attempt: tile and date, and why."""
        return self._store.failures(self.id, self._person)

    def wait(self, timeout: float | None = None) -> Job:
        """Wait until the job has ended; a notebook shows a bar. Interrupted, the job goes on.

        Parameters
        ----------
        timeout
            Seconds; None: for ever.

        Returns
        -------
        Job
            This one; it is successful.

        Raises
        ------
        JobFailed
            If it failed or was cancelled.
        GeodesError
            If it has not ended within ``timeout``.
        """
        until = None if timeout is None else time.monotonic() + timeout
        bar = bars.new(self.record.process)
        try:
            while (known := self.record).state not in ENDED:
                if until is not None and time.monotonic() > until:
                    raise GeodesError(
                        f"The job {self.id} has not ended within {timeout:g} s: {self.progress}. It goes on."
                    )
                starting.needed(self._store, known.person)
                if bar is not None:
                    now = self.progress
                    bar.update(now.done, now.total)
                time.sleep(_EVERY if until is None else min(_EVERY, max(until - time.monotonic(), 0.01)))
        finally:
            if bar is not None:
                bar.end()
        if known.state != "successful":
            raise JobFailed(
                f"The job {self.id} is {known.state}. {known.message} See its failures and log; retry() goes on."
            )
        return self

    def cancel(self) -> Job:
        """Cancel it.

        Units under way end without a result. What is done stays in its folder, and nothing is published.
        """
        self._store.dismiss(self.id, self._person)
        return self

    def retry(self) -> Job:
        """Try the units again that failed or were cancelled; what is done is not computed again."""
        known = self._store.retry(self.id, self._person)
        starting.needed(self._store, known.person)
        return self

    def remove(self) -> None:
        """Forget the job, which must have ended. Its files stay."""
        self._store.remove(self.id, self._person)

    def results(self) -> Items:
        """Return the Items of the results.

        Returns
        -------
        Items
            Of a successful job all of them. Before that, those that are whole by now: a file each of the units that are
            done; of a cube one Item, whose other tiles are still empty.
        """
        from geodes_lab.batch import provenance

        record, units = self.record, self._store.results(self.id, self._person)
        for unit, result in units:
            if unit.is_end:
                return Items([pystac.Item.from_dict(i) for i in result.items])
        request = self._store.request(self.id, self._person)
        folder = places.folder_of(record.folder)
        return Items(provenance.items(record, request, units, folder))

    def cube(self) -> xr.Dataset:
        """Return the cube of a job over a region, lazily; tiles that are not done are no data."""
        path = places.folder_of(self.record.folder) / CUBE
        if not path.exists():
            raise GeodesError(f"The job {self.id} has no cube: {self.progress}. See its results().")
        return xr.open_zarr(path, consolidated=False, decode_coords="all")

    def table(self) -> Any:
        """Return the results of a process that gives tables, as one `pandas.DataFrame`; reads its files."""
        import pandas as pd

        folder = places.folder_of(self.record.folder)
        files = [f for u, r in self._store.results(self.id, self._person) if not u.is_end for f in r.files]
        paths = [places.within(folder, f.path) for f in files if f.path.endswith(".parquet")]
        if not paths:
            raise GeodesError(f"The job {self.id} has no table: {self.progress}. See its results().")
        return pd.concat([pd.read_parquet(p) for p in paths], ignore_index=True)

    def __repr__(self) -> str:
        known = self.record
        about = f"Job {self.id[:8]} {known.process}: {known.state}, {self.progress}"
        return f"{about}. {known.message}" if known.message else about

    def _repr_html_(self) -> str:
        return _drawn(self.record, self.progress)


class Log(Sequence[str]):
    """What happened to a job, a line each."""

    def __init__(self, entries: list[tuple[int, float, str]]) -> None:
        self._lines = [f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}Z {shown(text)}" for _, at, text in entries]

    def __getitem__(self, at: Any) -> Any:
        return self._lines[at]

    def __len__(self) -> int:
        return len(self._lines)

    def __repr__(self) -> str:
        return "\n".join(self._lines)


class Jobs(Sequence[Job]):
    """Jobs, the newest first; a notebook shows them as a table with bars."""

    def __init__(self, store: AnyStore, records: list[Record], person: str | None) -> None:
        self._store, self._records, self._person = store, records, person
        self._jobs = [Job(store, r.id, person=person) for r in records]

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, str):
            found = [j for j in self._jobs if j.id.startswith(at)]
            if len(found) != 1:
                raise GeodesError(f"{len(found)} of these jobs have an id that begins with {at!r}.")
            return found[0]
        return self._jobs[at]

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self._jobs)) or "No jobs: gl.process begins one."

    def _repr_html_(self) -> str:
        if not self._jobs:
            return "<p>No jobs: gl.process begins one.</p>"
        counts = self._store.several_progress([r.id for r in self._records], self._person)
        return "".join(_drawn(r, counts.get(r.id) or Progress(r.units)) for r in self._records)


def jobs(*, limit: int = 50, store: AnyStore | None = None) -> Jobs:
    """Return your jobs, the newest first, whichever kernel began them.

    Parameters
    ----------
    limit
        How many at most.
    store
        None: the one of the settings.
    """
    chosen, person = store or stores.store(), places.person()
    return Jobs(chosen, chosen.jobs(person, limit), person)


def _drawn(record: Record, progress: Progress) -> str:
    """Draw a job as HTML: whatever people wrote is escaped."""
    colour = _COLOURS.get(record.state, "#0b63b5")
    began = f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%d %H:%M}Z"
    message = f"<div style='font-size:12px'>{escape(shown(record.message))}</div>" if record.message else ""
    return (
        f"<div style='margin:4px 0'><b>{escape(record.process)}</b> {escape(shown(record.title))} "
        f"<code>{escape(record.id[:8])}</code> {began} "
        f"<label><span style='color:{colour}'>{escape(record.state)}</span> <progress style='width:16em;"
        f"vertical-align:middle' max='100' value='{progress.percent}'></progress></label> "
        f"{escape(str(progress))}{message}</div>"
    )
