"""Project quotas: which file systems have them, and what they do where this machine's kernel has them too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from geodes_lab.util.disk import disk_use, project_quota
from geodes_lab.util.disk.project_quota import QuotaError, mount_of
from tests.support.paths import TOP

TABLE = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 254:16 / /home rw,relatime - xfs /dev/vdb rw,attr2,inode64,prjquota
31 30 254:17 / /home/geodes\\040lab rw,relatime - ext4 /dev/vdc rw,prjquota
32 22 0:40 / /data rw - nfs4 nas:/data rw,vers=4.2
33 22 254:18 / /srv rw - xfs /dev/vdd rw,pqnoenforce
"""


@pytest.mark.parametrize(
    ("folder", "device", "enforces", "advice"),
    [
        ("/home/lab-alice", "/dev/vdb", True, ""),
        ("/home/geodes lab/lab-alice", "/dev/vdc", True, ""),
        ("/homeless", "/dev/vda", False, "Mount / with the option prjquota (before that, unmounted: `tune2fs -O project,quota -Q prjquota /dev/vda`)."),
        ("/data/homes", "nas:/data", False, "/data is nfs4, and only ext4 and XFS have project quotas: put the homes on one."),
        ("/srv/homes", "/dev/vdd", False, "Mount /srv with the option prjquota."),
    ],
)  # fmt: skip
def test_file_systems_that_hold_programs_to_a_quota(folder, device, enforces, advice):
    mount = mount_of(Path(folder), TABLE)
    assert (mount.device, mount.enforces, mount.advice) == (device, enforces, advice)


def test_folder_without_them_is_refused_in_a_sentence(tmp_path):
    if mount_of(tmp_path).enforces:
        pytest.skip("this disk has project quotas")
    with pytest.raises(QuotaError, match=r"has no project quotas: .*(prjquota|only ext4 and XFS)"):
        project_quota.hold(tmp_path, 1500, 2**20)
    assert project_quota.held(tmp_path) is None


# Run in a mount namespace of its own: a small ext4 with project quotas.
_ON_EXT4 = """
set -e
cd "$1"
truncate -s 64M disk
mkfs.ext4 -q -O quota,project -E quotatype=prjquota disk
mkdir homes
mount -o loop,prjquota disk homes || exit 77
exec "$2" -m tests.util.test_project_quota "$1/homes"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk, and sets quotas")
def test_home_is_held_to_its_quota_whoever_writes(tmp_path):
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ON_EXT4, "sh", str(tmp_path), sys.executable],
        cwd=TOP, env={**os.environ, "PYTHONPATH": str(TOP), "PATH": f"{os.environ['PATH']}:/sbin:/usr/sbin"}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode in (77, 127):
        pytest.skip(f"this machine has no project quotas: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stdout + done.stderr


def _tried(homes: Path) -> None:
    home, other, limit, project = homes / "lab-alice", homes / "lab-bob", 4 * 2**20, 1500
    for folder in (home / "deep" / "er", other):
        folder.mkdir(parents=True)
    (home / "deep" / "er" / "before").write_bytes(os.urandom(2**20))
    (other / "theirs").write_bytes(os.urandom(2**20))
    os.link(other / "theirs", home / "second name")
    (home / "way out").symlink_to(other)
    for path in (home, *home.rglob("*")):
        if path.name != "second name":
            os.chown(path, project, project, follow_symlinks=False)
    project_quota.hold(home, project, limit)
    used, held = project_quota.held(home)
    assert held == limit
    assert 2**20 <= used < 2**20 + 2**17, f"what was there counts, and nobody else's: {used}"
    assert project_quota.held(other) is None
    write = "import sys; f = open(sys.argv[1], 'wb', 0); [f.write(b'1' * 65536) for _ in range(200)]"
    as_alice = {"user": project, "group": project, "extra_groups": []}
    done = subprocess.run(
        [sys.executable, "-c", write, str(home / "deep" / "more")], **as_alice, capture_output=True, text=True
    )
    assert any(reason in done.stderr for reason in ("Disk quota exceeded", "No space left")), done.stderr  # ext4, XFS
    os.sync()
    assert abs(disk_use.of(home) - 2**20 - project_quota.held(home)[0]) < 2**17, (
        "but for the other's file, both measure the same"
    )
    project_quota.hold(home, project, 2 * limit)
    assert project_quota.held(home)[1] == 2 * limit
    project_quota.hold(home, project, 0)
    assert project_quota.held(home)[1] == 0


if __name__ == "__main__":
    _tried(Path(sys.argv[1]))
