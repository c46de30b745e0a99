"""``python -m hub.services.culler``: stop servers that nobody uses."""

from __future__ import annotations

from hub.services import serving
from hub.services.culler.app import made
from hub.services.culler.messages import Messages
from hub.services.culler.orders import Orders
from hub.services.culler.stops import Stops
from hub.services.culler.watch import Watch
from hub.services.hubapi import HubApi
from hub.services.person import Hub

# A server reports itself twice a minute with a token that lives as long as the server, and speaks of itself alone.
_REMEMBERS = 3600.0

state = serving.state()
watch = Watch(serving.lab().culling, Orders(state / "orders.json"))
serving.serve(
    made(watch, Stops(state / "stops.json"), Hub(remembers=_REMEMBERS), HubApi(), Messages(state / "messages.json")),
    8014,
)
