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
# # A storm in wave heights
#
# In five days of February a storm crosses the sea west of France. Two satellites measure the significant wave height along lines, some
# passes a day; a buoy measures it at one place, each hour. Neither sees the storm as a whole. Here they become maps, with what the maps do
# not know, and the buoy says how good they are. The sea of this sample is invented, and has no land: the method is real.

# %%
import matplotlib.pyplot as plt
import numpy as np

import geodes_lab as gl

profile = "local"
area = (-21, 39, -1, 53)
items = gl.search("CMEMS_WAVE_L3", datetime="2022-02-14/2022-02-18", product_type="WAVE_L3", profile=profile)
items

# %% [markdown]
# ## Files of tracks
# `gl.open_tracks` opens NetCDF files of tracks by their CF attributes, whoever made them. Each record has its satellite and its file.

# %%
tracks = gl.open_tracks(items, bbox=area)
tracks["waves"] = gl.altimetry.wave_height(tracks)
tracks

# %%
gl.plot.tracks(tracks, "waves", title="Significant wave height, all passes of five days", clim=(1, 10))

# %% [markdown]
# ## Along one pass
# Records are noisy. A Lanczos filter takes out what is shorter than 80 km; it bridges no gap, and says nothing where too few records are
# near. This pass goes through the storm.

# %%
tracks["smooth"] = gl.altimetry.smoothed(tracks, "waves", 80_000)
highest = tracks["product"].values[int(tracks.smooth.argmax("time"))]
one = tracks.isel(time=(tracks["product"] == highest).values).compute()
fig, axes = plt.subplots(figsize=(8, 3))
axes.plot(one.latitude, one.waves, ".", ms=3, color="0.6", label="records")
axes.plot(one.latitude, one.smooth, lw=2, label="filtered at 80 km")
axes.set(
    xlabel="latitude (°)",
    ylabel="wave height (m)",
    title=f"{one['platform'].values[0]}, {str(one.time.values[0])[:16]}",
)
axes.legend()
plt.show()

# %% [markdown]
# ## Crossovers
# Where two passes cross, the same place was measured twice. The difference is the noise of both, and what the sea did in between: within
# two hours it would be noise alone, but these satellites cross after half a day at least.

# %%
crossings = gl.altimetry.crossovers(tracks, variables=["waves", "smooth"])
hours = crossings.time_difference / 3600
fig, axes = plt.subplots(figsize=(8, 3))
axes.axhline(0, color="0.8")
axes.plot(hours, crossings.smooth_difference, "o", ms=4)
axes.set(xlabel="hours between the passes", ylabel="difference (m)", title=f"{crossings.sizes['crossover']} crossovers")
plt.show()

# %% [markdown]
# ## Maps
# Optimal interpolation gives the most likely field, and its error. It needs to know how the sea changes: here waves are alike within some
# 400 km and 18 hours, and a filtered record is wrong by 10 cm. Neighbours on a pass say the same: one in eight is enough, and then the nearest
# hundred are of several passes. Where no pass was near, the map is the background and the error is large: that is hidden here. `engine` says what
# computed it: pyinterp, CNES's library, where it is installed.

# %%
thin = tracks[["smooth"]].isel(time=slice(None, None, 8))
sea = {"length": 400_000, "duration": "18h", "noise": 0.1, "background": 2.5, "sigma": 2.0, "neighbours": 100}
times = np.arange("2022-02-15T00", "2022-02-18T00", 12, dtype="datetime64[h]")
maps = gl.altimetry.interpolated(thin, "smooth", area, 0.5, times, **sea)
known = maps.smooth.where(maps.smooth_error < 1.2)
picture = known.plot.imshow(
    col="time",
    col_wrap=3,
    cmap="viridis",
    vmin=1,
    vmax=10,
    size=2.4,
    aspect=1.35,
    cbar_kwargs={"label": "wave height (m)"},
)
for axes, time in zip(picture.axs.flat, maps.time.values, strict=False):
    near = tracks.isel(time=(abs(tracks.time - time) < np.timedelta64(6, "h")).values)
    axes.plot(near.longitude, near.latitude, ".", ms=0.5, color="white")
    axes.set(title=str(time)[:13] + " h", xlabel="", ylabel="")
plt.show()
maps.attrs["engine"], f"known: {float((maps.smooth_error < 1.2).mean()):.0%} of the cells"

# %% [markdown]
# ## What the buoy says
# The buoy is a file of tracks too: one that stays where it is. First the records near it: within 100 km and half an hour.

# %%
buoy = gl.open_tracks(
    gl.search("CMEMS_WAVE_L3", datetime="2022-02-14/2022-02-18", product_type="WAVE_BUOY", profile=profile)
).compute()
pairs = gl.altimetry.collocated(tracks, "waves", buoy, "VHM0", distance=100_000, within="30min")
{name: round(value, 2) for name, value in gl.altimetry.agreement(pairs, "waves").items()}

# %% [markdown]
# Then the maps, which fill the time between the passes. The band is twice the error that the map gives itself: the buoy has to be inside.

# %%
lon, lat = float(buoy.longitude[0]), float(buoy.latitude[0])
place = (lon - 0.05, lat - 0.05, lon + 0.05, lat + 0.05)
times = np.arange("2022-02-14T06", "2022-02-18T18", 2, dtype="datetime64[h]")
here = gl.altimetry.interpolated(thin, "smooth", place, 0.1, times, **sea).squeeze(["latitude", "longitude"])
error = here.smooth_error
fig, axes = plt.subplots(figsize=(8, 3.4))
axes.fill_between(here.time, here.smooth - 2 * error, here.smooth + 2 * error, alpha=0.25, label="map ± 2 errors")
axes.plot(here.time, here.smooth, label="map")
axes.plot(buoy.time, buoy.VHM0, "k.", ms=3, label="buoy")
axes.plot(pairs.time, pairs.waves, "r.", ms=4, label="records within 100 km")
axes.set(ylabel="wave height (m)", ylim=(0, None), title="The storm at the buoy")
axes.legend(fontsize=8)
fig.autofmt_xdate()
plt.show()
series = buoy.VHM0.interp(time=here.time)
print(f"the buoy is inside the band for {float((abs(here.smooth - series) < 2 * error).mean()):.0%} of the time")
