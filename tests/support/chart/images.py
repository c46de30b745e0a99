"""The images, built by podman upon a base that debootstrap makes, in a store of their own that is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import TOP

REGISTRY, TAG = "geodes-lab", "0.1.0"  # as in values-kind.yaml
_PROGRAMS = ("podman", "runc", "debootstrap", "unshare", "ip")
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# A registry between us and the world may have an authority of its own, which this machine trusts.
_TRUST = ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS")


def hindrance() -> str:
    """Why no image can be built here; empty if one can."""
    if os.geteuid() != 0:
        return "building images upon a base of debootstrap needs root"
    if missing := [name for name in _PROGRAMS if not shutil.which(name)]:
        return f"there is no {', '.join(missing)}: apt-get install podman runc debootstrap iproute2"
    if shutil.disk_usage("/tmp").free < 15 * 2**30:
        return "images need 15 GB below /tmp"
    return ""


@dataclass(frozen=True)
class Images:
    """A store of images.

    Parameters
    ----------
    folder
        Where all of it lies.
    """

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """By which podman works in this store alone."""
        return {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
        }

    def podman(self, *arguments: str, check: bool = True, timeout: float = 300) -> str:
        """Run podman; give what it prints."""
        done = subprocess.run(
            ["podman", *arguments], env=self.environment, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0 or not check, done.stderr[-4000:]
        return done.stdout.strip()

    def base(self) -> str:
        """Make a small Debian with Python; give its name with its digest."""
        root = self.folder / "rootfs"
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", "bookworm", str(root)],
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        # As in the small images of Debian: no lists, caches, documents.
        for name in (
            "var/lib/apt/lists",
            "var/cache/apt/archives",
            "usr/share/doc",
            "usr/share/man",
            "usr/share/locale",
        ):
            for path in (root / name).iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (root / "var/lib/apt/lists/partial").mkdir()
        shutil.copyfile(_CERTIFICATES, root / str(_CERTIFICATES).lstrip("/"))
        archive = self.folder / "base.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        shutil.rmtree(root)
        changes = [f"--change=ENV {name}={_CERTIFICATES}" for name in _TRUST]
        self.podman("import", *changes, str(archive), "localhost/base:1")
        archive.unlink()
        return f"localhost/base@{self.podman('images', '--format', '{{.Digest}}', 'localhost/base:1')}"

    def build(self) -> None:
        """Build both, as `make images` does."""
        done = subprocess.run(
            [str(TOP / "helm/images/build.sh"), self.base(), REGISTRY, TAG],
            env={**self.environment, "ENGINE": "podman"}, capture_output=True, text=True, timeout=1800,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]

    def size(self, kind: str) -> int:
        """The bytes of an image, unpacked."""
        return int(self.podman("image", "inspect", "--format", "{{.Size}}", name(kind)))


def name(kind: str) -> str:
    """How an image is called."""
    return f"{REGISTRY}/{kind}:{TAG}"


@contextmanager
def store(folder: Path) -> Iterator[Images]:
    """A store in a folder; its layers are unmounted and removed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/layers"\nrunroot = "{folder}/run"\n'
    )
    # No limit can be raised where root lacks CAP_SYS_RESOURCE.
    limits = {n: resource.getrlimit(getattr(resource, f"RLIMIT_{n.upper()}"))[1] for n in ("nofile", "nproc")}
    most = {"nofile": 20000, "nproc": 20000}
    told = [f'"{n}={m}:{m}"' for n, hard in limits.items() if (m := min(hard, most[n]) if hard > 0 else most[n])]
    (folder / "containers.conf").write_text(
        f'[containers]\nnetns = "host"\ndefault_ulimits = [{", ".join(told)}]\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\n'
    )
    images = Images(folder)
    try:
        yield images
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            images.podman("rm", "--all", "--force", check=False)
            images.podman("rmi", "--all", "--force", check=False)
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if (place := line.split()[1]).startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(folder, ignore_errors=True)
