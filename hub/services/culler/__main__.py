"""``python -m hub.services.culler``: stop servers that nobody uses."""

from __future__ import annotations

from hub.services import serving
from hub.services.culler.app import made
from hub.services.culler.stops import Stops
from hub.services.culler.watch import Watch
from hub.services.hubapi import HubApi
from hub.services.person import Hub

stops = Stops(serving.state() / "stops.json")
serving.serve(made(Watch(serving.lab().culling), stops, Hub(), HubApi()), 8014)
