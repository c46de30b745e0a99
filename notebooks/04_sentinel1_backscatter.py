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
# # Radar backscatter of fields
#
# Sentinel-1 sees through clouds, in the geometry of a radar and with speckle. The images become γ0 on a map, chunk by chunk,
# read in place: calibrated, without the instrument's noise, averaged to 20 m.

# %%
import numpy as np
import xarray as xr

import geodes_lab as gl

profile = "local"
area = (1.77, 43.53, 1.88, 43.61)
items = gl.search("PEPS_S1_L1", bbox=area, datetime="2021-06/2021-08", product_type="GRD", profile=profile)
items

# %% [markdown]
# ## On a grid
# The name of each band says what it is: `gamma0_vh_denoised`, `sigma0_vv`, `incidence`. Averaging first keeps all
# looks of a 10 m image in a pixel of 20 m. Give `dem=` for relief; without it the heights of the product's own tie points
# are used.

# %%
lazy = gl.open_cube(
    items,
    bands=["gamma0_vv_denoised", "gamma0_vh_denoised"],
    bbox=area,
    crs="EPSG:32631",
    resolution=20,
    resampling="average",
).rename(gamma0_vv_denoised="vv", gamma0_vh_denoised="vh")
gl.plan(lazy)

# %%
cube = lazy.compute()
gl.report(lazy)

# %% [markdown]
# ## In decibels
# Logarithms are for display: means are computed before.

# %%
decibels = 10 * np.log10(cube.clip(1e-4))
decibels.vv.attrs = {"long_name": "γ0 VV", "units": "dB"}
gl.plot.image(decibels.vv, cmap="gray", clim=(-20, 0))

# %% [markdown]
# ## Speckle
# One image is noisy, however good the radar: the mean of several dates is not. The same window, once and averaged.

# %%
one = decibels.vv.isel(time=0)
mean = (10 * np.log10(cube.vv.mean("time").clip(1e-4))).rename("vv").assign_attrs(one.attrs)
gl.plot.compare(one, mean, cmap="gray", clim=(-20, 0), titles=("one date", "mean of all dates"))

# %% [markdown]
# How many independent looks that makes, over the forest of the north, where nothing changes but speckle.

# %%
forest = cube.vv.sel(x=slice(402_300, 402_900), y=slice(4_827_400, 4_826_900))
looks = [float(v.mean() ** 2 / v.var()) for v in (forest.isel(time=0), forest.mean("time"))]
print(f"equivalent number of looks: {looks[0]:.1f} of one date, {looks[1]:.1f} of {cube.sizes['time']}")

# %% [markdown]
# ## Three fields through the summer
# A box of 600 m in each. Wheat dries and is harvested, maize and sunflower grow. VH responds to leaves and stems.

# %%
places = xr.Dataset(
    {"x": ("field", [409_385, 407_305, 408_945]), "y": ("field", [4_827_995, 4_824_615, 4_821_285])},
    coords={"field": ["wheat", "maize", "sunflower"]},
)
smooth = cube.rolling(x=31, y=31, center=True, min_periods=200).mean()
there = smooth.sel(x=places.x, y=places.y, method="nearest")
fields = 10 * np.log10(there)
fields.vh.attrs = {"long_name": "γ0 VH of three fields", "units": "dB"}
gl.plot.series(fields.vh.transpose("time", "field"))

# %%
fields.vh.to_pandas().round(1)

# %% [markdown]
# The same as a picture for a report.

# %%
both = decibels.vh.isel(time=[0, -1])
picture = both.assign_coords(time=both.time.dt.strftime("%Y-%m-%d")).plot.imshow(
    col="time", cmap="gray", vmin=-26, vmax=-8, size=3.4, aspect=1.2, cbar_kwargs={"label": "γ0 VH (dB)"}
)
