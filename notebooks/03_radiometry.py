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
# # Why the numbers are right
#
# Since January 2022 Sentinel-2 adds 1000 to its numbers, and old products are being reprocessed the new way. A script that
# divides by 10000 is off by 0.1 of reflectance in some products and not in others. The lab uses each product's own metadata,
# and this notebook shows the difference.

# %%
import geodes_lab as gl

profile = "local"
field = (1.868, 43.595, 1.884, 43.604)

# %% [markdown]
# ## Two processings of one acquisition
# Catalogues keep both. `latest=False` shows all; a search without it returns the newest.

# %%
every = gl.search("PEPS_S2_L1C", bbox=field, datetime="2021-07-15", tile="31TCJ", latest=False, profile=profile)
every

# %%
one_by_one = gl.open_cube(every[:1], bands=["red"], bbox=field)
newer = gl.open_cube(every[-1:], bands=["red"], bbox=field)
(one_by_one.baseline.item(), one_by_one.offset.item()), (newer.baseline.item(), newer.offset.item())

# %% [markdown]
# The reflectance is the same, though the numbers in the files are 1000 apart.

# %%
float(one_by_one.red.mean()), float(newer.red.mean())

# %% [markdown]
# If you give both, a cube uses the newer one and says so.

# %%
gl.open_cube(every, bands=["red"], bbox=field).attrs["superseded"]

# %% [markdown]
# ## Ours beside a naive reading
# One field through the summer. The cube has the offset of each slice. Without the offset, you get the values of a script that
# divides the numbers by 10000.

# %%
items = gl.search("PEPS_S2_L1C", bbox=field, datetime="2021-06/2021-08", tile="31TCJ", cloud_cover=30, profile=profile)
cube = gl.open_cube(items, bands=["red", "nir"], bbox=field, mask="cloud").compute()
naive = cube - cube.offset.astype("float32")
ndvi = ((cube.nir - cube.red) / (cube.nir + cube.red)).mean(["y", "x"])
wrong = ((naive.nir - naive.red) / (naive.nir + naive.red)).mean(["y", "x"])
table = (
    cube[["baseline", "offset"]].reset_coords(drop=False)[["baseline", "offset"]].to_dataframe()[["baseline", "offset"]]
)
table.assign(ndvi=ndvi.values, naive_ndvi=wrong.values).round(3)

# %%
gl.plot.series(
    ndvi.to_dataset(name="read right").assign(naive=wrong), title="NDVI of one field: a jump that is no harvest"
)

# %% [markdown]
# ## Clouds
# Products bring their own masks, as polygons before baseline 04.00 and as images since. `mask="cloud"` works for
# both. The cloudy pixels of each map are grey.

# %%
area = (1.73, 43.52, 1.91, 43.63)
cloudy = gl.search("PEPS_S2_L1C", bbox=area, datetime="2021-06-10/2021-06-20", profile=profile)
plain = gl.open_cube(cloudy, bands=["red", "green", "blue"], bbox=area, resolution=60)
masked = gl.open_cube(cloudy, bands=["red", "green", "blue"], bbox=area, resolution=60, mask="cloud")
gl.plot.rgb(plain, limits=(0.03, 0.3), gamma=1.3, width=380) + gl.plot.rgb(
    masked, limits=(0.03, 0.3), gamma=1.3, width=380
)

# %%
masked.red.notnull().mean(["y", "x"]).to_series().rename("share without clouds").round(2)

# %% [markdown]
# ## Where nobody looked
# The swath ends within the area on 14 August. No data is masked before the offset is applied: it never becomes −0.1.

# %%
edge = gl.search("PEPS_S2_L1C", bbox=area, datetime="2021-08-14", profile=profile)
half = gl.open_cube(edge, bands=["red"], bbox=area, resolution=60).red.isel(time=0).compute()
picture = half.plot.imshow(cmap="gray", vmin=0, vmax=0.3, size=3.4, aspect=1.3)
picture.axes.set_title(f"{half.time.dt.date.item()}: the swath ends")
picture.axes.locator_params(axis="x", nbins=4)
print(f"{float(half.notnull().mean()):.0%} of the pixels are there; the lowest is {float(half.min()):.4f}")
