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
# # A summer of vegetation, from products in place
#
# Eight Sentinel-2 acquisitions over the Lauragais, east of Toulouse, become one cube of NDVI: how green each field is,
# month by month. The products are zips on the datalake. Nothing is downloaded, nothing is unzipped.
#
# The lab has imported `gl` already. Computations run on your own Dask cluster.

# %%
import geodes_lab as gl

client = gl.attach()
client

# %% [markdown]
# ## Find products
# Dates are acquisition dates. Two neighbouring tiles cover the area; products with many clouds are left out. The
# profile `"local"` is the sample datalake; with `"geodes"` the same cells work on the real one.

# %%
profile = "local"
area = (1.73, 43.52, 1.91, 43.63)  # west, south, east, north
items = gl.search("PEPS_S2_L1C", bbox=area, datetime="2021-06/2021-08", cloud_cover=30, profile=profile)
items

# %% [markdown]
# ## One product
# A product opens on its own grids, at 10, 20 and 60 m. The numbers are reflectances: the offset of each processing
# baseline comes from the product's own metadata.

# %%
scene = gl.open_product(items[0])
scene

# %% [markdown]
# ## All products as one cube
# The two tiles of a day become one slice. The coordinates name the products of each slice, and show that two
# processing baselines meet here. Only metadata have been read yet.

# %%
cube = gl.open_cube(items, bands=["red", "green", "blue", "nir"], bbox=area)
cube

# %% [markdown]
# In true colours, without the darkest and brightest 2 %. Move the slider: a day is computed when it is shown.

# %%
gl.plot.rgb(cube, gamma=1.4)

# %% [markdown]
# ## NDVI, month by month
# Still nothing is read: this is a plan of work. The products' own mask hides clouds, and the median of a month ignores
# clouds that the mask has missed.

# %%
clear = gl.open_cube(items, bands=["red", "nir"], bbox=area, mask="cloud")
ndvi = ((clear.nir - clear.red) / (clear.nir + clear.red)).rename("ndvi")
ndvi.attrs = {"long_name": "NDVI", "units": "1"}
month = ndvi.resample(time="1MS").median(keep_attrs=True)
month

# %% [markdown]
# ## What will it take?
# Before anything is read: how many products, requests and bytes, how much work and memory, how long on your workers.

# %%
gl.plan(month)

# %% [markdown]
# ## Save it, and read it again
# Now the cluster works: each tile of each product is read in place. The result is a Zarr store with its CRS and
# its history inside.

# %%
saved = gl.save(month, "workspace/ndvi.zarr", overwrite=True)
saved

# %% [markdown]
# And after: what happened to each product.

# %%
gl.report(month)

# %% [markdown]
# ## Look
# Zoom with the wheel, choose the month with the slider: only the visible part is computed.

# %%
gl.plot.image(saved.ndvi, clim=(0, 0.9))

# %% [markdown]
# As a film, which plays without a kernel too.

# %%
gl.plot.animate(saved.ndvi, clim=(0, 0.9), width=300)

# %% [markdown]
# The three months side by side. Wheat is harvested in June, maize and sunflower are green in July and August; woods stay
# green, the river and the towns never were.

# %%
picture = saved.ndvi.plot.imshow(col="time", cmap="RdYlGn", vmin=0, vmax=0.9, aspect=1.15, size=3.6)
for axes in picture.axs.flat:
    axes.locator_params(axis="x", nbins=4)

# %%
saved.ndvi.mean(["y", "x"]).to_series().round(3)
