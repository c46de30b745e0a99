"""``python -m hub.services.operators``: the operators' page."""

from __future__ import annotations

import os

from hub.services import serving
from hub.services.hubapi import HubApi
from hub.services.operators.app import Desk, made
from hub.services.operators.state import Sources
from hub.services.person import Hub

usage, culler = os.environ.get("GEODES_LAB_USAGE", ""), os.environ.get("GEODES_LAB_CULLER", "")
serving.serve(made(Desk(serving.lab(), Hub(), Sources(HubApi(), usage, culler))), 8016)
