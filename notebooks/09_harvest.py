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
# # A harvest in LAI
#
# The leaf area index (LAI) is the area of green leaves above a square metre of ground. Wheat loses it in two weeks: it dries, and is cut.
# Published neural networks estimate LAI from the surface reflectance of Sentinel-2 and from the angles of sun and view of each pixel.
# Here they follow a summer of Theia's level 2A products (MAJA).

# %%
import matplotlib.pyplot as plt
import numpy as np

import geodes_lab as gl

profile = "local"
items = gl.search("THEIA_REFLECTANCE_SENTINEL2_L2A", datetime="2021-06-01/2021-07-20", profile=profile)
items

# %% [markdown]
# ## One call
# `gl.biophysical` opens the eight bands and the angles on the products' own grid at 20 m, and computes lazily. The networks do not know
# clouds, so the products' own masks hide them.

# %%
canopy = gl.biophysical(items, ["lai", "fapar"], mask=["cloud", "cloud_shadow"]).compute()
canopy

# %% [markdown]
# ## What the flags say
# A network answers to any spectrum. It was trained for canopies over soil: `lai_flag` says where a spectrum is not one of these, and where
# the answer is outside of the range of the variable. No value is wrong in silence.

# %%
masks = canopy.lai_flag.attrs["flag_masks"]
meanings = canopy.lai_flag.attrs["flag_meanings"].split()
shares = {m: float(((canopy.lai_flag & bit) > 0).mean()) for bit, m in zip(masks, meanings, strict=True)}
{meaning: f"{share:.1%}" for meaning, share in shares.items() if share}

# %% [markdown]
# ## The summer as maps
# White is a cloud, or a spectrum outside of the definition domain: the river, and some mixtures of soil and leaves in this generated sample.

# %%
lai = canopy.lai.where((canopy.lai_flag & 1) == 0)
maps = lai.plot.imshow(
    col="time", col_wrap=5, cmap="YlGn", vmin=0, vmax=3.5, size=2.6, aspect=1, cbar_kwargs={"label": "LAI"}
)
for axes, time in zip(maps.axs.flat, lai.time.values, strict=False):
    axes.set(title=str(time)[:10], xticks=[], yticks=[], xlabel="", ylabel="")
plt.show()

# %% [markdown]
# ## Two fields
# Wheat dries through June. Maize, sown in May, is low at first, and rises.

# %%
fields = {
    "wheat": {"x": slice(404_430, 404_970), "y": slice(4_825_240, 4_824_700)},
    "maize": {"x": slice(403_660, 404_180), "y": slice(4_825_130, 4_824_610)},
}
series = {name: lai.sel(place).median(["y", "x"]) for name, place in fields.items()}
fig, axes = plt.subplots(figsize=(7, 3.2))
for name, values in series.items():
    axes.plot(values.time, values, "o-", label=name)
axes.set(ylabel="LAI", ylim=(0, None), title="Leaf area of two fields")
axes.legend()
plt.show()

# %% [markdown]
# ## When was it cut?
# For each pixel: the first date at which LAI has less than half of its highest value, where that was more than 1.5. Where a cloud hid the
# field on 25 June, it is the next date.

# %%
highest = lai.max("time")
after = (lai < highest / 2) & (lai.time > lai.time[lai.fillna(-1).argmax("time")])
first = after.argmax("time").where(after.any("time") & (highest > 1.5))
dates = [str(t)[:10] for t in lai.time.values]
fig, axes = plt.subplots(figsize=(6.2, 4.4))
image = axes.imshow(first, cmap=plt.get_cmap("plasma", len(dates)), vmin=-0.5, vmax=len(dates) - 0.5)
fig.colorbar(image, ticks=range(len(dates))).ax.set_yticklabels(dates)
axes.set(title="First date with less than half of the leaf area", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## Two networks
# `"sl2p-2.1"` is that of the Sentinel-2 toolbox, `"sl2p-ccrs"` the same method trained again. That they differ tells how far a number may be
# trusted: compare maps of one network only.

# %%
other = gl.biophysical(items[:1], network="sl2p-ccrs", mask=["cloud", "cloud_shadow"]).compute()
difference = (other.lai[0] - canopy.lai[0]).where((canopy.lai_flag[0] | other.lai_flag[0]) == 0)
low, middle, high = np.nanpercentile(difference, [5, 50, 95])
print(f"sl2p-ccrs less sl2p-2.1: {middle:+.2f} in the middle, {low:+.2f} to {high:+.2f} for nine pixels in ten")
