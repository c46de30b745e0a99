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
# # Rain on slopes
#
# Wet ground is brighter for a radar. So is a slope that faces it, and by more: a pixel of the image has more ground there. Here a shower
# falls on the meadows of a hilly place, and it is seen once the hills are taken out of the image. The hills are invented, like the rest
# of this sample.

# %%
import matplotlib.pyplot as plt
import numpy as np
from shapely.geometry import box

import geodes_lab as gl

profile = "local"
area = (2.290, 43.382, 2.365, 43.430)
items = gl.search("PEPS_S1_L1", bbox=area, datetime="2021-09-01/2021-10-31", product_type="GRD", profile=profile)
dem = gl.search("COP_DEM_GLO_30", profile=profile)
items

# %% [markdown]
# ## Flattened
# `gamma0_rtc_vv` is γ0 by the area of ground that the radar sees in each pixel (Small 2011). It needs a terrain model: `dem=`. The angle
# between the radar and each slope, and the places of layover and shadow, are bands too. `gamma0_vv` is γ0 as if the ground were level.

# %%
measures = ["gamma0_vv_denoised", "gamma0_rtc_vv_denoised", "gamma0_rtc_vh_denoised"]
lazy = gl.open_cube(
    items,
    bands=[*measures, "local_incidence_angle", "layover_shadow_mask"],
    bbox=area,
    crs="EPSG:32631",
    resolution=20,
    resampling=dict.fromkeys(measures, "average"),
    dem=dem,
)
cube = lazy.compute()
plain, flat = cube.gamma0_vv_denoised, cube.gamma0_rtc_vv_denoised
angle, mask = cube.local_incidence_angle[0], cube.layover_shadow_mask[0]
print(plain.attrs["geolocation"], flat.attrs["geolocation"], sep="\n")

# %%
fig, axes = plt.subplots(2, 2, figsize=(10, 7.6), layout="constrained")
pictures = [
    ("γ0 VV as on level ground (dB)", 10 * np.log10(plain[0]), {"cmap": "gray", "vmin": -18, "vmax": -2}),
    ("γ0 VV flattened (dB)", 10 * np.log10(flat[0]), {"cmap": "gray", "vmin": -18, "vmax": -2}),
    ("local incidence angle (degrees)", angle, {"cmap": "viridis"}),
    ("0 neither, 1 shadow, 2 layover, 3 both", mask, {"cmap": plt.get_cmap("magma", 4), "vmin": -0.5, "vmax": 3.5}),
]
for ax, (title, picture, style) in zip(axes.flat, pictures, strict=True):
    fig.colorbar(ax.imshow(picture, **style), shrink=0.8, ticks=range(4) if picture is mask else None)
    ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The dark patches that are left are meadows, the bright ones are trees. In layover the slope lies over its foot: the radar adds up both,
# and flattening can only share their brightness. Leave these pixels out.
#
# ## Brightness and angle
# The mean brightness by the angle of the slope, on the first date. If only the ground mattered, the lines would be level.

# %%
clear = mask == 0
edges = np.arange(10, 66, 5)
middle = (edges[:-1] + edges[1:]) / 2
fig, ax = plt.subplots(figsize=(7, 3.2))
for name, data in (("as on level ground", plain[0]), ("flattened", flat[0])):
    means = [data.where(clear & (angle >= a) & (angle < a + 5)).mean() for a in edges[:-1]]
    ax.plot(middle, 10 * np.log10(means), "o-", label=name)
ax.set(xlabel="local incidence angle (degrees)", ylabel="mean γ0 VV (dB)")
ax.legend()
plt.show()

# %% [markdown]
# ## Speckle
# The mean of pixels is smooth, and coarse. Three dates have in common what does not change: the multi-temporal filter (Quegan and Yu 2001)
# keeps it, and lets each date keep its own brightness. The equivalent number of looks says how much less speckle there is.

# %%
smooth = gl.despeckle(cube[measures[1:]], window=7)
looks = {name: gl.equivalent_looks(data.gamma0_rtc_vv_denoised) for name, data in (("before", cube), ("after", smooth))}
print({name: round(value, 1) for name, value in looks.items()})

# %% [markdown]
# ## Where did it rain?
# The second date less the mean of the other two. Meadows become brighter by 3 dB, trees by much less.

# %%
vv = smooth.gamma0_rtc_vv_denoised
before_after = 10 * np.log10(vv[1] / vv[[0, 2]].mean("time"))
rain = before_after.where(clear)
rain.name, rain.attrs = "rain", {"long_name": "change of γ0 VV", "units": "dB"}
fig, ax = plt.subplots(figsize=(6.4, 4.6))
rain.plot.imshow(ax=ax, cmap="RdBu", vmin=-4, vmax=4)
ax.set(title=f"{str(vv.time.values[1])[:10]} and the dates around it", xticks=[], yticks=[], xlabel="", ylabel="")
plt.show()

# %% [markdown]
# ## Two meadows in one call
# One faces the radar, one faces away, and the shower falls on both. `gl.backscatter` gives the series of a field. As on level ground the
# meadows seem to differ by several dB; flattened, they are equally bright, and equally wet.

# %%
meadows = {
    "facing the radar": box(2.29496, 43.42443, 2.29814, 43.42679),
    "facing away": box(2.30077, 43.41312, 2.30395, 43.41548),
}
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for name, field in meadows.items():
    for ax, band in zip(axes, ("gamma0_vv", "gamma0_rtc_vv"), strict=True):
        series = gl.backscatter(items, field, bands=[band], dem=dem, crs="EPSG:32631")
        ax.plot(series.time.dt.strftime("%d %b"), series[band], "o-", label=name)
        ax.set(title={"gamma0_vv": "as on level ground", "gamma0_rtc_vv": "flattened"}[band])
axes[0].set(ylabel="γ0 VV (dB)")
axes[0].legend()
plt.show()
