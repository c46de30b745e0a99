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
# # From a laptop to many workers
#
# The notebook stays the same; the cluster grows. Ask for the cost of a computation before it starts, let it meet errors on
# its way, and see afterwards what happened to each product.

# %%
import pandas as pd

import geodes_lab as gl

client = gl.attach()
client

# %% [markdown]
# On one machine the cluster is as large as your server may be. On a platform with a Dask gateway or SLURM the same call asks for
# workers there: `gl.attach(workers=20, memory="8GiB")`. Everything below is the same on both.

# %%
profile = "local"
area = (1.73, 43.52, 1.91, 43.63)
items = gl.search("PEPS_S2_L1C", bbox=area, datetime="2021", profile=profile)
cube = gl.open_cube(items, bands=["red", "nir"], bbox=area, mask="cloud")
ndvi = ((cube.nir - cube.red) / (cube.nir + cube.red)).rename("ndvi").assign_attrs(long_name="NDVI", units="1")
ndvi

# %% [markdown]
# ## What does it cost?
# A plan reads nothing. It counts only what the result needs: products, requests, bytes, work and memory.

# %%
gl.plan(ndvi.max("time"))

# %% [markdown]
# The same at 60 m reads overviews: a small part of the bytes. The resolution decides the cost.

# %%
coarse = gl.open_cube(items, bands=["red", "nir"], bbox=area, resolution=60, mask="cloud")
plans = {f"{r} m": gl.plan(c.red.max("time")) for r, c in ((10, cube), (60, coarse))}
costs = {
    name: {"requests": p.tiles, "MB": p.bytes / 1e6, "core-seconds": p.decode, "seconds": p.seconds}
    for name, p in plans.items()
}
costs

# %%
picture = pd.DataFrame(costs).T.plot.bar(subplots=True, layout=(1, 4), figsize=(10, 2.4), legend=False, rot=0)

# %% [markdown]
# ## Faults on the way
# Over a year some product is always missing or damaged. By default that stops the computation in one sentence that names it.
# Here one product has a wrong address.

# %%
lost = items[2].clone()
data = next(asset for asset in lost.assets.values() if "data" in asset.roles)
data.href = data.href.replace(".zip", "-lost.zip")
faulty = [*items[:2], lost, *items[3:]]

# %%
try:
    gl.open_cube(faulty, bands=["red"], bbox=area, resolution=60).red.mean().compute()
except gl.GeodesError as error:
    print(error)

# %% [markdown]
# With `errors="fill"` the work continues: what cannot be read is left out or becomes no data, never
# zero, and is reported.

# %%
careful = gl.open_cube(faulty, bands=["red", "nir"], bbox=area, resolution=60, mask="cloud", errors="fill")
# Beside a bright bank an overview of water can be below zero: no NDVI is beyond -1 and 1.
both = careful.nir + careful.red
greenest = ((careful.nir - careful.red) / both.where(both > 0)).clip(-1, 1).max("time").rename("ndvi")
saved = gl.save(
    greenest.assign_attrs(long_name="greenest NDVI of the year", units="1"), "workspace/greenest.zarr", overwrite=True
)

# %% [markdown]
# What happened to each product, and why some have no data.

# %%
report = gl.report(careful)
report

# %%
report.table.query("dropped or filled > 0")[["filled", "dropped", "why"]]

# %% [markdown]
# ## The result
# Each pixel at its greenest: the crops of the whole year in one map.

# %%
gl.plot.image(saved.ndvi, clim=(0, 0.9))

# %%
picture = saved.ndvi.plot.imshow(cmap="RdYlGn", vmin=0, vmax=0.9, size=3.6, aspect=1.3)
picture.axes.set_title("")
picture.axes.locator_params(axis="x", nbins=4)

# %% [markdown]
# ## Which way to grow
# - **Reads dominate** (a plan of many bytes and few core-seconds): coarser `resolution=`, fewer bands, workers near the data.
# - **Decoding dominates**: more workers; tiles are decoded once, so it grows with their number.
# - **Memory is short**: save with `gl.save` instead of computing into the notebook; fewer dates at once.
# - **Again and again**: save a cube as Zarr once, and open that.
