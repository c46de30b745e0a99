"""The bills of the months, each by the tariff that was in force at its end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from geodes_lab.policy.prices import Tariff
from geodes_lab.policy.reading import read
from hub.services.usage.accounts import Books
from hub.services.usage.bill import Bill, Spent, bill

_FRESH = 30.0  # seconds
_KEPT = 24  # bills


class Costs:
    """The bills.

    Parameters
    ----------
    books
        The accounts of use: the only ones that there are.
    """

    def __init__(self, books: Books) -> None:
        self._books, self._lock = books, threading.Lock()
        self._bills: dict[str, tuple[float, Bill]] = {}

    def bill(self, month: str) -> Bill:
        """Return the bill of a month; one that was just made is given again."""
        with self._lock:
            when, made = self._bills.get(month, (float("-inf"), None))
            if made is None or time.monotonic() - when > _FRESH:
                made = bill(month, self._books.items(month), self.tariff(month))
                self._bills = dict(list(self._bills.items())[-_KEPT:])
                self._bills[month] = time.monotonic(), made
            return made

    def tariff(self, month: str) -> Tariff:
        """Return what decided the costs of a month; an empty one where there were no prices."""
        text = self._books.tariff(month)
        tariff: Tariff = read(Tariff, json.loads(text), f"the tariff of {month}") if text else Tariff()
        return tariff

    def of(self, person: str, groups: Collection[str], month: str) -> list[dict[str, Any]]:
        """Return the budgets of a person, and of the person's groups and project, of which much is spent."""
        made = self.bill(month)
        project = made.tariff.project(person, groups)
        several = [made.spent("person", person), *(made.spent("group", g) for g in sorted(groups))]
        several.append(made.spent("project", project) if project else None)
        return [described(s, made) for s in several if s and made.is_near(s)]


def written(tariff: Tariff) -> str:
    """Return a tariff as text, which `Costs.tariff` reads; the order of the projects counts."""
    return json.dumps(asdict(tariff), default=str)


def described(spent: Spent, made: Bill) -> dict[str, Any]:
    """Return a budget for other services: amounts are texts, so that none is rounded on the way."""
    return {
        "month": made.month,
        "kind": spent.kind,
        "name": spent.name,
        "spent": str(spent.spent),
        "budget": str(spent.budget),
        "currency": made.currency,
        "part": float(spent.part),
        "over": spent.part >= 1,
    }
