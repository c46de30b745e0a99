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
# # Along the track of an altimeter
#
# Sentinel-3's radar altimeter measures a line on the ground, twenty times a second. A track is not an image, and is not converted
# to one: products open along time, each rate and band a node of its own, and several passes become one table.

# %%
import xarray as xr

import geodes_lab as gl

profile = "local"
box = (1.7, 43.3, 2.0, 43.8)
items = gl.search("PEPS_S3_L1", bbox=box, datetime="2021-06/2021-07", product_type="SR_1_SRA___", profile=profile)
items

# %% [markdown]
# ## One product
# Lazy, with units, and with the flags' meanings.

# %%
track = gl.open_product(items[0])
track

# %% [markdown]
# ## Several passes
# `gl.open_tracks` puts them together along time, within a box. If an acquisition was processed several times, the best product is
# used. Each record has its product, cycle and orbit.

# %%
passes = gl.open_tracks(items, node="ku", bbox=box, variables=["alt", "range_ku", "surf_type", "agc_ku", "loss_track"])
passes

# %% [markdown]
# ## Flags
# The surface under the satellite, as the product's flag names it.

# %%
surface = passes.surf_type.compute()
meanings = surface.attrs["flag_meanings"].split()
surface.to_series().map(dict(enumerate(meanings))).value_counts()

# %% [markdown]
# ## Heights
# The altitude of the satellite less the range to the ground. These are heights above the ellipsoid, not retracked nor
# corrected for the air: good for seeing hills and a lake, not for its level to a centimetre.

# %%
height = (passes.alt - passes.range_ku).rename("height").assign_attrs(long_name="height above the ellipsoid", units="m")
height = height.compute()
gl.plot.tracks(height, cmap="terrain")

# %% [markdown]
# ## Pass beside pass
# The satellite comes again after 27 days. Plotted by latitude, both passes coincide; the lake is the flat part.

# %%
table = passes.assign(height=height).compute().to_dataframe()
by_cycle = table.pivot_table(index="latitude", columns="cycle", values="height")
picture = by_cycle.plot(figsize=(9, 3), style=".", ms=3, ylabel="height (m)")

# %% [markdown]
# Over the lake alone: mean and scatter of each pass.

# %%
lake = height.where(surface == meanings.index("enclosed_seas_or_lakes"), drop=True)
by_pass = lake.groupby("cycle")
table = (
    xr.Dataset({"records": by_pass.count(), "height": by_pass.mean(), "scatter": by_pass.std()}).to_dataframe().round(3)
)
table

# %% [markdown]
# ## The echo tells what it was
# Water reflects at once and strongly, land slowly. The waveforms are there too, one for each record.

# %%
echoes = gl.open_tracks(items[:1], node="ku", bbox=box, variables=["i2q2_meas_ku", "surf_type"]).compute()
mean = echoes.i2q2_meas_ku.groupby(echoes.surf_type).mean()
picture = (mean / mean.max("echo_sample_ind")).plot.line(x="echo_sample_ind", figsize=(7, 2.8))
picture[0].axes.set(xlabel="sample of the echo", ylabel="power (largest: 1)")
picture[0].axes.get_legend().set_title("surface")
