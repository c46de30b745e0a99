"""Answers in bounded time, a few at once, each in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

from geodes_lab import settings
from geodes_lab.assistant.limits import QUESTIONS
from geodes_lab.errors import GeodesError


class Turns:
    """Runs questions.

    A question that takes too long is given up, but its thread goes on until its own requests end: while it does, it
    counts among those at once. The threads keep no process alive.
    """

    def __init__(self) -> None:
        self._running = 0
        self._lock = threading.Lock()
        self._notes = threading.local()
        self._shown = warnings.showwarning

    async def answer(self, question: Callable[[], str]) -> str:
        """Return the answer, and below it the warnings that were given meanwhile.

        Raises
        ------
        GeodesError
            If it takes too long, or too many others do.
        """
        seconds = float(settings.get("assistant.seconds"))
        with self._lock:
            if self._running >= QUESTIONS:
                raise GeodesError(
                    f"{self._running} earlier questions have no answer yet: wait for them, or ask for less at once."
                )
            self._running += 1
        answer: concurrent.futures.Future[str] = concurrent.futures.Future()
        answer.set_running_or_notify_cancel()
        threading.Thread(target=self._run, args=(question, answer), daemon=True).start()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(answer), seconds)
        except TimeoutError:
            raise GeodesError(
                f"There was no answer within {seconds:g} s: ask for a shorter time, a smaller area or fewer products."
            ) from None

    def _run(self, question: Callable[[], str], answer: concurrent.futures.Future[str]) -> None:
        notes: list[str] = []
        self._notes.texts = notes
        # The loop is gone when the assistant has closed its end.
        with contextlib.suppress(RuntimeError, concurrent.futures.InvalidStateError):
            try:
                text = question()
            except GeodesError as error:
                answer.set_exception(error)
            except BaseException as error:  # whatever it is, it ends this question alone
                answer.set_exception(_fault(error))
            else:
                answer.set_result("\n".join([text, *(f"Note: {n}" for n in dict.fromkeys(notes) if n not in text)]))
        with self._lock:
            self._running -= 1

    @contextlib.contextmanager
    def noting(self) -> Any:
        """Collect the warnings of each question, instead of printing them."""

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            notes = getattr(self._notes, "texts", None)
            if notes is not None and issubclass(category, UserWarning):
                notes.append(str(message))
            else:
                print(f"{category.__name__}: {message}", file=sys.stderr)

        warnings.simplefilter("always", UserWarning)  # else a second question would not be told
        warnings.showwarning = show
        try:
            yield
        finally:
            warnings.showwarning = self._shown


def _fault(error: BaseException) -> GeodesError:
    """Return the sentence for an error that nobody expected."""
    if isinstance(error, OSError) and error.strerror:
        return GeodesError(f"{error.strerror}: {error.filename or 'the catalogue or the product'}.")
    reason = " ".join(str(error).split())[:300].rstrip(".")
    return GeodesError(f"The question failed ({type(error).__name__}: {reason}): ask it in another way.")
