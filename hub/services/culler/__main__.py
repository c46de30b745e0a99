"""``python -m culler``: stop servers that nobody uses."""

from __future__ import annotations

import serving
from hubapi import HubApi
from person import Hub

from culler.app import made
from culler.stops import Stops
from culler.watch import Watch

stops = Stops(serving.state() / "stops.json")
serving.serve(made(Watch(serving.lab().culling), stops, Hub(), HubApi()), 8014)
