"""The images: the Dockerfile is linted and looked at; its install script is run in a clean folder, as the Dockerfile runs it. test_built_images.py
builds the images."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.paths import TOP

IMAGES = TOP / "helm" / "images"
HADOLINT = TOP / "build" / "tools" / "hadolint"
DOCKERFILE = (IMAGES / "Dockerfile").read_text()
# The Debian packages of the Dockerfile, by the libraries that they bring; glibc's own are in every image.
SYSTEM = {
    "libexpat1": "libexpat", "libgomp1": "libgomp", "libstdc++6": "libstdc++", "zlib1g": "libz.", "libgcc-s1": "libgcc_s",
}  # fmt: skip
GLIBC = re.compile(r"lib(c|m|dl|rt|pthread|resolv|util)\.so|ld-linux")


@pytest.mark.skipif(not HADOLINT.exists(), reason="there is no hadolint: tests/get-helm fetches it, where it can")
def test_linter_finds_nothing(tmp_path):
    done = subprocess.run([str(HADOLINT), str(IMAGES / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM debian:latest\nRUN cd /tmp && sudo apt-get install curl\n")
    assert subprocess.run([str(HADOLINT), str(wrong)], capture_output=True).returncode != 0, "the control"


def test_dockerfile_has_one_base_by_argument_and_no_root():
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M))
    assert bases == {"${BASE}", "built", "system"}
    assert "NVIDIA_VISIBLE_DEVICES=" not in DOCKERFILE, "which GPU is Kubernetes' choice"
    assert re.search(r"^ARG BASE$", DOCKERFILE, re.M), "no default: a digest is not made up"
    hub = DOCKERFILE[DOCKERFILE.index("AS hub\n") :]
    assert "WORKDIR /srv/jupyterhub" in hub, "where zero-to-jupyterhub has the volume of the database"
    for stage in ("user", "gpu", "hub"):
        (text,) = re.findall(rf"^FROM system AS {stage}\n(.+?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S)
        assert re.findall(r"^USER (\S+)", text, re.M) == ["1000:1000"]
        assert not re.findall(r"^USER .+^(?:RUN|COPY)", text, re.M | re.S), "all that is in it is root's"
        assert re.search(rf"FROM built AS built-{stage}\nRUN .*slim\.sh /opt/geodes-lab {stage}\n", DOCKERFILE)
        assert f"COPY --from=built-{stage} /opt/geodes-lab /opt/geodes-lab\n" in DOCKERFILE, "slim"
    assert set(SYSTEM) - {"libgcc-s1"} <= set(DOCKERFILE.split())


def test_build_context_has_what_the_install_script_takes():
    kept = {line[1:] for line in (IMAGES / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in (
        "geodes_lab",
        "docs",  # its pages are in the package
        "hub",
        "kernels",
        "notebooks",
        "docs",
        "pyproject.toml",
        "requirements.lock",
        "README.md",
        "LICENSE",
        "helm/images",
    ):
        assert name in kept
        assert (TOP / name).exists()


@pytest.mark.parametrize("base", ["", "python:3.11-slim", "python:3.11-slim@sha256:12"])
def test_base_without_a_digest_is_refused(base):
    done = subprocess.run([str(IMAGES / "build.sh"), base, "x", "1"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"BASE is {base or 'not given'}: give")


HASHED = {"helm/images/uv.txt": 6, "helm/images/build.txt": 2, "helm/images/gpu.txt": 1, "tests/atheris.txt": 1}


@pytest.mark.attack
def test_all_that_is_installed_has_a_sum():
    """Every command that installs, and every file that it installs from."""
    for name, least in HASHED.items():
        text = (TOP / name).read_text()
        for line in re.split(r"\n(?=\w)", re.sub(r"^#.*\n", "", text, flags=re.M)):
            assert re.match(r"[\w.-]+==[\w.]+ ", line), line
            assert line.count("--hash=sha256:") >= least, line
    for name in ("Makefile", "helm/images/install.sh", "tests/get-helm"):
        for line in (TOP / name).read_text().splitlines():
            if re.search(r"\bpip (install|download)\b", line) and not line.lstrip().startswith("#"):
                ours = "--no-deps --build-constraint" in line  # the project itself, from this folder
                assert ours or "--require-hashes" in line, line
    # What builds the project is all of what the backend asks for.
    backend = re.search(r'requires = \["(hatchling==[\d.]+)"\]', (TOP / "pyproject.toml").read_text())[1]
    built = set(re.findall(r"^([\w-]+==\S+)", (TOP / "helm/images/build.txt").read_text(), re.M))
    assert backend in built
    assert {b.partition("==")[0] for b in built} == {
        "hatchling",
        "editables",
        "packaging",
        "pathspec",
        "pluggy",
        "trove-classifiers",
    }


def test_packages_for_gpus_fit_the_others():
    """What the two lock files both name is of the same versions: the image for GPUs is the user's, and more."""
    lines = {
        name: set(re.findall(r"^([\w.-]+)==([^\s;]+)", (TOP / name).read_text(), re.M))
        for name in ("requirements.lock", "helm/images/gpu.txt")
    }
    usual, gpu = lines.values()
    common = {name for name, _ in usual} & {name for name, _ in gpu}
    assert {"numpy", "xarray"} <= common
    assert {one for one in gpu if one[0] in common} <= usual
    wanted = re.findall(r"^([\w-]+)", (IMAGES / "gpu.in").read_text(), re.M)
    assert {"cupy-cuda12x"} <= set(wanted) <= {name for name, _ in gpu}
    assert not any(name.startswith(("cupy", "nvidia")) for name, _ in usual), "nobody else installs them"


def _wheel(version: str) -> bytes:
    """A wheel that calls itself uv."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as wheel:
        wheel.writestr("uv/__init__.py", "")
        info = f"uv-{version}.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: uv\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return made.getvalue()


@pytest.mark.slow  # makes an environment twice
@pytest.mark.attack
def test_index_that_gives_another_uv_installs_nothing(tmp_path):
    version = re.search(r"^uv==(\S+)", (IMAGES / "uv.txt").read_text(), re.M)[1]
    name = f"uv-{version}-py3-none-any.whl"

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = _wheel(version) if self.path.endswith(".whl") else f'<a href="/{name}">{name}</a>'.encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/zip" if self.path.endswith(".whl") else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV" and not k.startswith(("PIP_", "UV_"))}
    environment |= {"PIP_INDEX_URL": f"http://127.0.0.1:{server.server_port}/simple", "PIP_CONFIG_FILE": os.devnull}
    try:
        folder = tmp_path / "lab"
        done = subprocess.run(
            [str(IMAGES / "install.sh"), str(folder), "user"], capture_output=True, text=True, env=environment
        )
        assert done.returncode != 0
        assert "DO NOT MATCH THE HASHES" in done.stderr
        assert not list(folder.rglob("uv/__init__.py"))
        # The control: without sums it would be there.
        pip = [str(folder / ".venv" / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", f"uv=={version}"]
        assert subprocess.run(pip, env=environment, capture_output=True).returncode == 0
        assert list(folder.rglob("uv/__init__.py"))
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A clean folder in which both steps of the Dockerfile have run; gives it, with the versions of each step."""
    folder = tmp_path_factory.mktemp("image") / "geodes-lab"
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    for kind in ("user", "hub"):
        done = subprocess.run(
            [str(IMAGES / "install.sh"), str(folder), kind], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for name in ("versions", "sbom"):
            (folder / f"{name}.json").rename(folder.parent / f"{name}-{kind}.json")
    return folder


def packages(folder: Path, kind: str) -> dict[str, str]:
    told = json.loads((folder.parent / f"sbom-{kind}.json").read_text())
    assert told["bomFormat"] == "CycloneDX"
    return {c["name"].lower().replace("_", "-").replace(".", "-"): c["version"] for c in told["components"]}


@pytest.mark.slow
def test_install_script_in_a_clean_folder(installed):
    user, hub = packages(installed, "user"), packages(installed, "hub")
    versions = [(installed.parent / f"versions-{kind}.json").read_text() for kind in ("user", "hub")]
    assert versions[0] == versions[1], "one JupyterHub and one Dask in both"
    assert json.loads(versions[0])["jupyterhub"] == user["jupyterhub"] == hub["jupyterhub"]
    # Some have two, for different versions of Python.
    locked = set(re.findall(r"^([\w.-]+)==(\S+)", (TOP / "requirements.lock").read_text(), re.M))
    for name, version in hub.items():
        if name not in ("geodes-lab", "pip", "setuptools", "uv"):
            assert (name, version) in locked
    more = set(hub) - set(user)
    assert {"dask-gateway-server", "jupyterhub-kubespawner", "psycopg2-binary", "pycurl"} <= more
    assert not {"pytest", "playwright", "mypy", "sphinx", "cyclonedx-bom"} & set(hub), "no tools of ours"


@pytest.mark.slow
def test_commands_of_the_chart_are_there(installed):
    commands = installed / ".venv" / "bin"
    for name in ("python", "jupyterhub", "dask", "dask-gateway-server", "geodes-lab", "jupyter-lab"):
        assert os.access(commands / name, os.X_OK), name
    for name in (
        "hub/singleuser/start.py",
        "hub/trial.py",
        "hub/services/gateway/dask_gateway_config.py",
        "hub/templates",
        "kernels/geodes/kernel.json",
    ):
        assert (installed / name).exists(), name
    assert list((installed / "notebooks").glob("*.ipynb"))
    modules = installed / ".venv" / "proxy" / "node_modules"
    assert modules.is_dir(), "the catalogue's page has its map from there"
    shown = subprocess.check_output([str(commands / "dask-gateway-server"), "kube-controller", "--help"], text=True)
    assert "controller" in shown.lower()
    # As the pod runs it: another user than who installed it, who can write nothing there.
    code = "import geodes_lab as gl, dask, distributed, jupyterhub, rasterio, kubespawner, psycopg2, pycurl; print(gl.__name__)"
    nobody = (
        {"user": 65534, "group": 65534} if os.geteuid() == 0 and installed.parent.parent.stat().st_mode & 0o005 else {}
    )
    environment = {"PATH": f"{commands}:/usr/bin:/bin", "HOME": "/tmp"}
    assert (
        subprocess.check_output([str(commands / "python"), "-c", code], text=True, env=environment, **nobody).strip()
        == "geodes_lab"
    )


@pytest.mark.slow
def test_libraries_of_the_system_are_those_of_the_dockerfile(installed):
    """What the wheels take from the system: anything else would be missing in a small base."""
    objects = [str(p) for p in (installed / ".venv").rglob("*.so*") if p.is_file() and not p.is_symlink()]
    shown = subprocess.run(["ldd", *objects], capture_output=True, text=True).stdout
    taken = {Path(found).name for found in re.findall(r"=> (/(?:usr/)?lib\S+)", shown)}
    others = {
        name for name in taken if not GLIBC.match(name) and not any(name.startswith(lib) for lib in SYSTEM.values())
    }
    assert taken
    assert others == set()
