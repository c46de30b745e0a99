"""What the use of a month costs: a line for each thing with a price, rounded once, and sums of these lines."""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal, get_args

from geodes_lab.policy.prices import GB, Tariff
from geodes_lab.policy.units import Price
from hub.services.usage.records import Item, span

_CENT = Decimal("0.01")
Kind = Literal["project", "group", "person"]


@dataclass(frozen=True)
class Line:
    """One person's use of one thing, while in certain groups."""

    person: str
    groups: tuple[str, ...]
    project: str
    item: Item
    amount: Decimal
    """Rounded to cents."""


@dataclass(frozen=True)
class Cost:
    """Sums of lines."""

    servers: Decimal = Decimal("0.00")
    storage: Decimal = Decimal("0.00")
    read: Decimal = Decimal("0.00")

    @property
    def total(self) -> Decimal:
        """All of it."""
        return self.servers + self.storage + self.read

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Cost)))


@dataclass(frozen=True)
class Spent:
    """How much of a budget is spent."""

    kind: Kind
    name: str
    spent: Decimal
    budget: Price

    @property
    def part(self) -> Decimal:
        """1 is all of it."""
        return self.spent / self.budget


@dataclass(frozen=True)
class Bill:
    """The costs of a month, by the tariff of that month."""

    month: str
    tariff: Tariff
    lines: tuple[Line, ...] = ()
    _sums: dict[str, dict[str, Cost]] = field(default_factory=dict, compare=False)

    @property
    def currency(self) -> str:
        """Three letters; empty: nothing is charged."""
        return self.tariff.prices.currency

    def by(self, kind: Kind) -> dict[str, Cost]:
        """Return the costs by name; lines without a project, or of a name that is no longer stored, have the name "".

        A person in several groups counts in each; a person has one project at most.
        """
        if kind not in self._sums:
            names: dict[Kind, Callable[[Line], Iterable[str]]] = {
                "project": lambda line: [line.project],
                "group": lambda line: set(line.groups),
                "person": lambda line: [line.person],
            }
            sums: dict[str, Cost] = defaultdict(Cost)
            for line in self.lines:
                for name in names[kind](line):
                    sums[name] += _cost(line)
            self._sums[kind] = dict(sorted(sums.items()))
        return self._sums[kind]

    @property
    def whole(self) -> Cost:
        """What everybody's use costs."""
        return sum(self.by("person").values(), Cost())

    def budget(self, kind: Kind, name: str) -> Price | None:
        """Return the budget of a person, a group or a project; None: there is none."""
        budgets = self.tariff.budgets
        if kind == "person":
            return budgets.of_person(name) if name else None
        return (budgets.groups if kind == "group" else budgets.projects).get(name)

    def spent(self, kind: Kind, name: str) -> Spent | None:
        """Return how much of a budget is spent; None: there is none."""
        budget = self.budget(kind, name)
        return Spent(kind, name, self.by(kind).get(name, Cost()).total, budget) if budget else None

    def budgets(self) -> list[Spent]:
        """Return the budgets of all who spent something, the largest part first."""
        kinds: tuple[Kind, ...] = get_args(Kind)
        several = (self.spent(kind, name) for kind in kinds for name in self.by(kind))
        return sorted((s for s in several if s), key=lambda s: -s.part)

    def near(self) -> list[Spent]:
        """Return the budgets of which so much is spent that it is to be said."""
        return [s for s in self.budgets() if self.is_near(s)]

    def is_near(self, spent: Spent) -> bool:
        """Whether so much is spent that it is to be said."""
        return spent.part >= Decimal(str(self.tariff.budgets.warn))


def bill(month: str, items: Iterable[Item], tariff: Tariff) -> Bill:
    """Charge a month's use.

    Parameters
    ----------
    month
        Such as ``2026-11``.
    items
        All use of that month.
    tariff
        Of that month.
    """
    lines = [
        Line(i.person, i.groups, tariff.project(i.person, i.groups), i, amount)
        for i in items
        if (amount := _amount(i, tariff, month).quantize(_CENT, ROUND_HALF_EVEN))
    ]
    return Bill(month, tariff, tuple(lines))


def gb_months(item: Item, month: str) -> Decimal:
    """Return how many gigabytes were kept for the whole of a month."""
    begin, _ = span(month)
    return Decimal(item.byte_days) / GB / monthrange(begin.year, begin.month)[1]


def _amount(item: Item, tariff: Tariff, month: str) -> Decimal:
    if item.kind == "server":
        return tariff.server(item.size, Decimal(item.hours), Decimal(item.core_hours), Decimal(item.memory_hours))
    if item.kind == "storage":
        return tariff.storage(gb_months(item, month))
    return tariff.read(item.read)


def _cost(line: Line) -> Cost:
    return Cost(**{{"server": "servers"}.get(line.item.kind, line.item.kind): line.amount})
