# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: "GEODES (Python \xB7 Dask)"
#     language: python
#     name: geodes
# ---

# %% [markdown]
# # Sharing a result
#
# A map that nobody can open is half a result. This notebook saves one cube as Zarr for computations, as COG for display, in the
# catalogue for searches, and as a small app for everybody else.

# %%
import os
import subprocess
import sys
import time
from pathlib import Path

from IPython.display import HTML

import geodes_lab as gl

profile = "local"
area = (1.73, 43.52, 1.91, 43.63)
items = gl.search("PEPS_S2_L1C", bbox=area, datetime="2021-06/2021-08", cloud_cover=30, profile=profile)
cube = gl.open_cube(items, bands=["red", "nir"], bbox=area, resolution=20, mask="cloud")
# At 20 m an overview is read: water beside a bright bank can have a reflectance below zero there, and an NDVI of any size.
both = cube.nir + cube.red
ndvi = ((cube.nir - cube.red) / both.where(both > 0)).clip(-1, 1).rename("ndvi")
ndvi.attrs = {"long_name": "NDVI", "units": "1"}
month = ndvi.resample(time="1MS").median(keep_attrs=True)

# %% [markdown]
# ## Zarr, for computing
# Sharded, with CRS and history inside; xarray opens it anywhere.

# %%
saved = gl.save(month, "workspace/share/ndvi.zarr", overwrite=True)
saved

# %% [markdown]
# ## COG, for looking
# A cloud-optimised GeoTIFF of the months, with one band for each: QGIS, a browser or a tile server can open it directly.

# %%
gl.save(saved.ndvi, "workspace/share/ndvi.tif", overwrite=True)

# %%
# !rio info workspace/share/ndvi.tif --indent 1 | head -40

# %% [markdown]
# ## The catalogue, for finding
# An Item of a collection of your own, in the lab's catalogue. Only you can see it unless you say who may read it: `"*"` is
# everybody.

# %%
item = gl.publish(
    "workspace/share/ndvi.tif",
    "ndvi",
    title="NDVI by month",
    readers=["*"],
    properties={"mean": float(saved.ndvi.mean())},
)
item.collection_id, item.assets["tif"].href

# %% [markdown]
# Everybody who may see it can find it, by its collection and by its properties.

# %%
found = gl.search(item.collection_id, bbox=area, mean=(0.2, 0.9), profile="lab")
found

# %%
gl.open_product(found[0])

# %% [markdown]
# ## An app, for everybody else
# A few lines of Panel in a file beside this notebook. The button opens it for you, in a kernel of its own.

# %%
# %%writefile workspace/share/app.py
import panel as pn
import xarray as xr

import geodes_lab as gl

pn.extension()
ndvi = xr.open_zarr("ndvi.zarr", consolidated=False, decode_coords="all").ndvi
by_month = pn.panel(gl.plot.image(ndvi, clim=(0, 0.9), width=620), widget_location="top_left")
through = gl.plot.series(ndvi.mean(["y", "x"]), title="mean NDVI", width=620, height=160)
pn.Column("# NDVI by month", by_month, through).servable(title="NDVI by month")

# %%
app = Path("workspace/share/app.py").resolve().relative_to(Path.home())
address = f"{os.environ.get('JUPYTERHUB_SERVICE_PREFIX', '/')}panel-preview/render/{app}"
HTML(f'<form action="{address}" target="_blank"><button>Open the app</button></form>')

# %% [markdown]
# For colleagues of the same hub the app runs as a program of yours, which listens at a socket: a file in a folder that you alone pass
# through. A port would answer every account of the machine. `gl.share` shows it to members of the `groups` that you name, or to whom you
# send `shown.invitation`; the app sees nothing of their login, and `shown.stop()` takes it back. It ends with your server.

# %%
socket = Path(os.environ["GEODES_LAB_RUNTIME"]) / "ndvi.sock"
socket.unlink(missing_ok=True)
command = [sys.executable, "-m", "panel", "serve", "app.py", "--unix-socket", str(socket)]
served = subprocess.Popen(command, cwd="workspace/share", stderr=subprocess.DEVNULL)
while not socket.exists() and served.poll() is None:
    time.sleep(0.2)
shown = gl.share(socket)
HTML(f'<form action="{shown.url}" target="_blank"><button>Open it as they do</button></form>')

# %% [markdown]
# ## A picture, for the report

# %%
picture = saved.ndvi.plot.imshow(col="time", cmap="RdYlGn", vmin=0, vmax=0.9, size=3.2, aspect=1.2)
for axes in picture.axs.flat:
    axes.locator_params(axis="x", nbins=4)
picture.fig.savefig("workspace/share/ndvi.png", dpi=150)
