#!/bin/sh
# Installs the lab into a folder, for an image: install.sh FOLDER user, then perhaps install.sh FOLDER hub for what the hub needs beside it, or
# install.sh FOLDER gpu for what a GPU needs.
# The Dockerfile runs it, and tests/integration/chart/test_images.py does, in a clean folder.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
folder=$1 kind=$2
venv=$folder/.venv
lock=$top/requirements.lock

if [ "$kind" = user ]; then
	mkdir -p "$folder"
	"${PYTHON:-python3}" -m venv "$venv"
	# pip is the one that this Python brings.
	"$venv/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r "$top/helm/images/uv.txt"
	extra="--extra lab"
elif [ "$kind" = hub ]; then
	extra="--extra lab --extra kubernetes"
fi
export VIRTUAL_ENV="$venv"

# Versions and sums are those of the lock file, which says them for all that pyproject.toml asks for, tests and documentation too: as a
# constraint it adds nothing, and what is not in it is refused.
if [ "$kind" = gpu ]; then
	# A lock file of its own: with its packages in the other, each installation would have them (2.7 GB).
	"$venv/bin/uv" pip install --quiet --link-mode copy --compile-bytecode --only-binary :all: --require-hashes -r "$top/helm/images/gpu.txt"
else
	# shellcheck disable=SC2086
	"$venv/bin/uv" pip install --quiet --project "$top" --link-mode copy --compile-bytecode --require-hashes -r "$top/pyproject.toml" $extra -c "$lock"
fi

if [ "$kind" = user ]; then
	"$venv/bin/uv" pip install --quiet --compile-bytecode --no-deps --build-constraint "$top/helm/images/build.txt" "$top"
	cp -r "$top/hub" "$top/kernels" "$top/notebooks" "$top/docs" "$folder/"
	find "$folder/hub" "$folder/kernels" "$folder/notebooks" "$folder/docs" -name __pycache__ -prune -exec rm -rf {} +
	(cd "$folder" && "$venv/bin/python" -m hub.front.proxy) # the map and outlines of its page are of the same packages
fi

# What is in the image, as CycloneDX has it; the program that writes it is not.
aside=$(mktemp -d)
trap 'rm -rf "$aside"' EXIT
"$venv/bin/uv" venv --quiet --python "$venv/bin/python" "$aside/venv"
printf '[project]\nname = "aside"\nversion = "0"\ndependencies = ["cyclonedx-bom"]\n' >"$aside/pyproject.toml"
VIRTUAL_ENV="$aside/venv" "$venv/bin/uv" pip install --quiet --project "$top" --require-hashes -r "$aside/pyproject.toml" -c "$lock"
"$aside/venv/bin/cyclonedx-py" environment --output-reproducible --of JSON -o "$folder/sbom.json" "$venv/bin/python"

# By this build.sh and whoever else compares two images.
"$venv/bin/python" - "$folder/versions.json" <<'PY'
import importlib.metadata, json, pathlib, platform, sys

names = ("geodes-lab", "jupyterhub", "dask", "distributed", "xarray", "zarr", "dask-gateway")
told = {name: importlib.metadata.version(name) for name in names} | {"python": platform.python_version()}
pathlib.Path(sys.argv[1]).write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
PY
