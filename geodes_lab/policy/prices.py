"""What use costs, by the operator's file: prices, projects and budgets, and the tariff that a month keeps."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from geodes_lab.policy.units import Price

GB = 10**9
"""Bytes: storage and reads are sold by the decimal gigabyte."""
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True)
class Prices:
    """What use costs; without a currency nothing is charged."""

    currency: str = ""
    """By its three letters, such as ``EUR``."""
    core_hour: Price = Price(0)
    """Of a reserved core."""
    memory_hour: Price = Price(0)
    """Of a reserved GiB of memory."""
    sizes: dict[str, Price] = field(default_factory=dict)
    """Of an hour of a server of this size, in place of its cores and its memory."""
    storage_gb_month: Price = Price(0)
    """Of 10⁹ bytes in a home for a month."""
    read_gb: Price = Price(0)
    """Of 10⁹ bytes read from the datalake."""

    def __post_init__(self) -> None:
        some = any([self.core_hour, self.memory_hour, self.sizes, self.storage_gb_month, self.read_gb])
        if self.currency and not _CURRENCY.fullmatch(self.currency):
            raise ValueError(f"the currency {self.currency!r} is not three capital letters such as EUR.")
        if some and not self.currency:
            raise ValueError("there is a price without a currency: give the currency, such as EUR.")


@dataclass(frozen=True)
class Project:
    """Who belongs to a project; a person's use is charged to the first project of the file that has the person."""

    title: str = ""
    groups: tuple[str, ...] = ()
    people: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.groups or self.people):
            raise ValueError("the project has nobody: give `groups` or `people`.")


@dataclass(frozen=True)
class Budgets:
    """What may be spent in a month, in the currency of the prices.

    A budget stops nothing: people and operators are told. Quotas stop.
    """

    warn: float = 0.8
    """The spent fraction from which people and operators are told."""
    person: Price | None = None
    """Of each person."""
    people: dict[str, Price] = field(default_factory=dict)
    """Of one person, in place of the budget of each."""
    groups: dict[str, Price] = field(default_factory=dict)
    projects: dict[str, Price] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.warn < 1:
            raise ValueError("warn is a part below 1, such as 0.8.")
        for name, budget in {"person": self.person, **self.people, **self.groups, **self.projects}.items():
            if budget is not None and not budget:
                raise ValueError(f"the budget of {name} is 0: leave it out, or give a larger one.")

    def of_person(self, name: str) -> Price | None:
        """Return the budget of a person; None: there is none."""
        return self.people.get(name, self.person)


@dataclass(frozen=True)
class Tariff:
    """All that decides what a month's use costs. A month keeps its last one."""

    prices: Prices = field(default_factory=Prices)
    projects: dict[str, Project] = field(default_factory=dict)
    budgets: Budgets = field(default_factory=Budgets)

    def project(self, person: str, groups: Collection[str]) -> str:
        """Return the project that pays for a person; empty: none."""
        for name, project in self.projects.items():
            if person in project.people or not set(project.groups).isdisjoint(groups):
                return name
        return ""

    def server(self, size: str, hours: Decimal, core_hours: Decimal, memory_hours: Decimal) -> Decimal:
        """Return what servers of a size cost, before it is rounded."""
        prices = self.prices
        if size in prices.sizes:
            return hours * prices.sizes[size]
        return core_hours * prices.core_hour + memory_hours * prices.memory_hour

    def storage(self, gb_months: Decimal) -> Decimal:
        """Return what homes cost, before it is rounded."""
        return gb_months * self.prices.storage_gb_month

    def read(self, size: int) -> Decimal:
        """Return what bytes read cost, before it is rounded."""
        return Decimal(size) / GB * self.prices.read_gb


def problems(tariff: Tariff, profiles: Collection[str], groups: Collection[str]) -> Iterable[str]:
    """What of it does not fit the rest of the operator's file, a sentence each."""
    for size in tariff.prices.sizes:
        if size not in profiles:
            yield f"prices.sizes has {size!r}, which is not in `profiles`."
    for group in tariff.budgets.groups:
        if group not in groups:
            yield f"budgets.groups has {group!r}, which is not in `groups`."
    for project in tariff.budgets.projects:
        if project not in tariff.projects:
            yield f"budgets.projects has {project!r}, which is not in `projects`."
    if tariff.budgets != Budgets(warn=tariff.budgets.warn) and not tariff.prices.currency:
        yield "budgets needs prices: give `prices` with a currency."
