"""``python -m hub.services.measure``: how large the homes are, again and again."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import httpx

from hub.services import processes
from hub.services.measure.homes import pause, sizes

_SOON = 5.0  # seconds until the accounts are told again, where they did not answer

processes.end_with_hub()
logging.basicConfig(level=logging.WARNING, format="[measure] %(levelname)s %(message)s")
# One log line for each request would be one too many.
head = {"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}"}
wait = threading.Event().wait
while True:
    began = time.monotonic()
    found = sizes(Path(os.environ["GEODES_LAB_HOMES"]), single=bool(os.environ.get("GEODES_LAB_SINGLE")))
    try:
        httpx.post(
            f"{os.environ['GEODES_LAB_USAGE']}/api/storage", json={"homes": found}, headers=head, timeout=20
        ).raise_for_status()
        wait(pause(time.monotonic() - began))
    except httpx.HTTPError as error:
        logging.info("the usage service does not answer: %s", error)
        wait(_SOON)
