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
# # Thirty years in one cube
#
# Spot 1 in July 1990 and Sentinel-2 in July 2021, over the same fields. Two sensors, two formats, two ways to write
# reflectance: one call, one grid, and the map of what has changed.

# %%
import xarray as xr

import geodes_lab as gl

profile = "local"
area = (1.73, 43.52, 1.91, 43.63)
then = gl.search("THEIA_SWH-PHASE1_SPOT1_L1C", bbox=area, datetime="1990-07", profile=profile)
now = gl.search("PEPS_S2_L1C", bbox=area, datetime="2021-07-15", profile=profile)
then + now

# %% [markdown]
# ## One place, one grid
# The pixels of Spot, 20 m: Sentinel-2 is averaged to them. `now` has two tiles, which become one slice.

# %%
cube = gl.open_cube(
    [*then, *now],
    bands=["green", "red", "nir"],
    bbox=area,
    crs="EPSG:32631",
    resolution=20,
    resampling="average",
)
cube = cube.compute()
cube[["time", "product"]].to_dataframe()[["product"]]

# %% [markdown]
# ## Side by side
# Near infrared, red and green as red, green and blue: what grows is red. Move the slider from 1990 to 2021.

# %%
gl.plot.compare(cube.isel(time=0), cube.isel(time=-1), bands=("nir", "red", "green"), gamma=1.2)

# %% [markdown]
# ## What has changed
# Vegetation changes with each crop; water and roofs stay. Water is darker in the near infrared than in the green.

# %%
water = cube.nir < cube.green
before, after = water.isel(time=0, drop=True), water.isel(time=-1, drop=True)
new_water = after & ~before
size = abs(float(cube.x[1] - cube.x[0])) ** 2 / 1e6
print(f"water: {float(before.sum()) * size:.2f} km² in 1990, {float(after.sum()) * size:.2f} km² in 2021")

# %% [markdown]
# A lake that was dammed in between.

# %%
change = (
    xr.where(new_water, 2, xr.where(before, 1, 0)).rename("water").assign_attrs(long_name="water: 1 in 1990, 2 since")
)
gl.plot.image(change, cmap="Blues", clim=(0, 2))

# %%
ndvi = ((cube.nir - cube.red) / (cube.nir + cube.red)).rename("ndvi").assign_attrs(long_name="NDVI", units="1")
picture = ndvi.assign_coords(time=ndvi.time.dt.strftime("%Y-%m-%d")).plot.imshow(
    col="time", cmap="RdYlGn", vmin=0, vmax=0.9, size=3.4, aspect=1.2
)
for axes in picture.axs.flat:
    axes.locator_params(axis="x", nbins=4)

# %% [markdown]
# ## Older still
# Raw scenes (L1A) open too, as radiance by line and column, or put on a map with their own location model if you give a grid:
# they are not orthorectified, and the cube says by how much relief is displaced.

# %%
raw = gl.search("SWH_SPOT4_L1", bbox=area, datetime="1999", profile=profile)
scene = gl.open_cube(raw[:1], bands=["nir", "red", "green"], bbox=area, crs="EPSG:32631", resolution=40)
print(scene.red.attrs["geolocation"])
gl.plot.image(scene.red, cmap="gray", width=420)
