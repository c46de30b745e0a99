"""A plan that somebody else makes: a service may open no product, so the person's own runner plans, with their rights.

It is a job of one unit, whose process no person can name, and which is in no list.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from geodes_lab import products
from geodes_lab.batch.plan import plan
from geodes_lab.batch.request import PLAN, Request, Result, Unit
from geodes_lab.batch.running.computing import Call, process_of
from geodes_lab.batch.splitting.units import split
from geodes_lab.batch.store.records import Record
from geodes_lab.batch.store.writing import Store
from geodes_lab.batch.submission import Draft


def wanted(draft: Draft, store: Store, person: str) -> str:
    """Ask for the plan of a job; what the person has asked before is forgotten. Returns its id.

    Raises
    ------
    GeodesError
        If what the process reads is not known before it runs.
    """
    draft.process.check_plan()
    for former in store.jobs(person, states=(), process=PLAN):
        store.dismiss(former.id, person)
        store.remove(former.id, person)
    asked = replace(draft.request, planned=draft.process.id, collection=None)
    one = replace(draft, process=replace(draft.process, id=PLAN), request=asked, units=[(Unit("plan", []), PLAN)])
    return one.start(store=store, person=person).id


def made(record: Record, request: Request) -> Result:
    """Make a plan; metadata of products are read, with the rights of this account."""
    call = Call(request.planned, record.version, None, request, Unit("plan", []), "", 1)
    process, items = process_of(call), [products.as_item(document) for document in request.items]
    units = [(unit, "") for unit in split(request, items, process.over)]
    return Result([], [asdict(plan(Draft(process, request, units, "", None)))])
