"""What the hub tells people's servers of the first page."""

from __future__ import annotations

from hub.installation import Installation
from hub.services.declared import Extra, Needs
from hub.services.registration import address


def extra(here: Installation) -> Extra:
    """See `hub.services.declared.Extra`."""
    told = here.lab.catalogue.news
    needs = Needs(reads=(told,) if told else (), former=("news.json",))
    return Extra(needs=needs, servers={"GEODES_LAB_NEWS": f"{address('home')}/feed.atom"})
