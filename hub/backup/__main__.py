"""``python -m hub.backup save FOLDER``, ``… check BACKUP``, ``… restore BACKUP``: see docs/operations/backup.md."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from geodes_lab.errors import GeodesError
from hub.backup import archive
from hub.backup.parts import BackupError
from hub.backup.restoring import restore
from hub.backup.saving import save
from hub.installation import installation

_ENDS = (
    "The lab is that of GEODES_LAB_SETTINGS and GEODES_LAB_STATE, as for the hub. If the hub's database is a "
    "PostgreSQL, GEODES_LAB_DATABASE is its address, as JupyterHub's db_url."
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hub.backup", description="Copy all that a lab keeps, and bring it back.", epilog=_ENDS
    )
    actions = parser.add_subparsers(dest="action", required=True)
    saving = actions.add_parser("save", help="take a backup, while the hub runs")
    saving.add_argument("folder", type=Path, help="where backups are; each is a folder in it")
    checking = actions.add_parser("check", help="hold a backup against its sums")
    checking.add_argument("folder", type=Path, help="one backup")
    restoring = actions.add_parser("restore", help="bring a backup back, while the hub does not run")
    restoring.add_argument("folder", type=Path, help="one backup")
    restoring.add_argument(
        "--replace", action="store_true", help="move aside what is there; without it nothing is replaced"
    )
    for action in (saving, restoring):
        action.add_argument(
            "--without", action="append", default=[], metavar="PART", help="leave out a part, such as homes"
        )
    options = parser.parse_args()
    database = os.environ.get("GEODES_LAB_DATABASE", "")
    try:
        here = installation()
        if here.lab.servers.kind in ("accounts", "systemd") and os.geteuid() != 0 and options.action != "check":
            raise BackupError("Only root reads everybody's home, and gives files back to their owners: run it as root.")
        if options.action == "save":
            made = save(here, options.folder, without=tuple(options.without), database=database, say=_say)
            _say(f"The backup is whole: {made}. It holds the lab's secrets; keep it where only operators read it.")
        elif options.action == "check":
            manifest = archive.load(options.folder)
            parts = ", ".join(manifest.entries)
            _say(f"{options.folder} is whole: {parts}, of {manifest.made}, by version {manifest.lab}.")
        else:
            without = tuple(options.without)
            aside = restore(here, options.folder, replace=options.replace, without=without, database=database, say=_say)
            for folder in aside:
                _say(f"What was there is in {folder}: remove it when all is well.")
            _say("The backup is restored: start the hub.")
    except (BackupError, GeodesError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    sys.exit(main())
