"""What a job will cost, held against the quota and the prices of the operator, before it begins."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import httpx

from geodes_lab.batch.request import PLAN
from geodes_lab.batch.store.records import Record
from geodes_lab.batch.store.writing import Store
from geodes_lab.errors import GeodesError
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import rights
from hub.services.person import Person

if TYPE_CHECKING:
    from geodes_lab.batch.submission import Draft

_QUOTAS: dict[str, Callable[[dict[str, Any]], float]] = {
    "core_hours": lambda plan: float(plan["core_hours"]),
    "read": lambda plan: float(plan["bytes"]),
}
"""The quotas that a plan says something about, by their names in the operator's file."""


class Planning:
    """Plans of people.

    Parameters
    ----------
    lab
        The operator's file.
    store
        The jobs of all people.
    usage
        The address of the accounts of use; empty: they are not asked.
    """

    def __init__(self, lab: Lab, store: Store, usage: str = "") -> None:
        self._lab, self._store, self._usage = lab, store, usage.rstrip("/")
        headers = {"Authorization": f"token {os.environ.get('JUPYTERHUB_API_TOKEN', '0')}"}
        self._client = httpx.Client(timeout=10, headers=headers, trust_env=False)

    def wanted(self, draft: Draft, person: Person) -> str:
        """Have a plan made by the person's runner; return its id.

        Raises
        ------
        GeodesError
            If what the process reads is not known before it runs.
        """
        from geodes_lab.batch import planned  # here, since it takes two seconds of a core to import

        return planned.wanted(draft, self._store, person.name)

    def one(self, number: str, person: Person) -> dict[str, Any]:
        """Return how far a plan is, and the plan.

        Raises
        ------
        GeodesError
            If the person has no such plan.
        """
        record: Record = self._store.job(number, person.name)
        if record.process != PLAN:
            raise GeodesError("This is a job, no plan.")
        results = [result for unit, result in self._store.results(number, person.name) if not unit.is_end]
        if not results or not results[0].items:
            waits = [f.reason for f in self._store.failures(number, person.name)]
            return {"status": record.state, "message": record.message or (waits or [""])[0], "plan": None}
        plan = dict(results[0].items[0])
        plan |= {"quota": self._quota(plan, person), **self._cost(plan)}
        return {"status": "successful", "message": "", "plan": plan}

    def _cost(self, plan: dict[str, Any]) -> dict[str, Any]:
        prices = self._lab.prices
        if not prices.currency:
            return {"cost": None, "currency": ""}
        read = self._lab.tariff.read(int(plan["bytes"]))
        cost = Decimal(str(plan["core_hours"])) * prices.core_hour + read
        return {"cost": float(round(cost, 2)), "currency": prices.currency}

    def _quota(self, plan: dict[str, Any], person: Person) -> list[dict[str, Any]]:
        """Return each quota that is touched: its limit, what is used of it, and what the job needs."""
        limits = asdict(rights(person.groups, self._lab).quota)
        touched = [name for name in _QUOTAS if limits.get(name)]
        used = self._used(person) if touched else {}
        return [{"name": n, "limit": float(limits[n]), "used": used.get(n), "needs": _QUOTAS[n](plan)} for n in touched]

    def _used(self, person: Person) -> dict[str, float]:
        """Return what the person has used this month; nothing, if the accounts do not answer."""
        if not self._usage:
            return {}
        query = urlencode([("group", group) for group in sorted(person.groups)])
        try:
            answer = self._client.get(f"{self._usage}/api/limits/{quote(person.name, safe='')}?{query}")
            used = answer.json().get("used") if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError, AttributeError):
            return {}
        return {str(k): float(v) for k, v in used.items() if isinstance(v, (int, float))} if used else {}
