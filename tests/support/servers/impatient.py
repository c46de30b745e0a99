"""The catalogue's service, unchanged but for one bound: it may look for news each second.

``python -m tests.support.servers.impatient HARVESTED RESULTS``
"""

from __future__ import annotations

import runpy

from geodes_lab.policy.mail import Mail

if __name__ == "__main__":
    Mail.__post_init__ = lambda self: None
    runpy.run_module("hub.services.catalogue", run_name="__main__", alter_sys=True)
