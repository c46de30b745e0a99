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
# # An earthquake between two passes
#
# A radar image is complex: the phase of each sample says how far away the ground is, to a fraction of the wavelength of 5.5 cm. Two passes
# over the same place, twelve days apart, thus show by how many millimetres the ground moved, and where it was shaken or overgrown so much
# that nothing can be compared. The hills, the trees and the earthquake are invented, like the rest of this sample.

# %%
import matplotlib.pyplot as plt
import numpy as np

import geodes_lab as gl

profile = "local"
items = gl.search("PEPS_S1_L1", datetime="2021-10-10/2021-11-01", product_type="SLC", profile=profile)
before, after = sorted(items, key=lambda item: item.properties["start_datetime"])
dem = gl.search("COP_DEM_GLO_30", profile=profile)
items

# %% [markdown]
# ## One pair
# `gl.open_pair` finds the bursts that both products have, aligns the second image with the first by the orbits and the terrain, and
# multiplies them. A cell of `multilook=(10, 2)` has 10 samples in range and 2 lines, about 40 × 27 m on the ground. Only the overlaps of
# the bursts are read now; all the rest when it is needed, chunk by chunk, on a map.

# %%
pair = gl.open_pair(before, after, dem=dem, multilook=(10, 2))
about = ("bursts", "temporal_baseline_days", "perpendicular_baseline", "height_of_ambiguity", "delay")
for name in about:
    print(f"{name}: {pair.attrs[name]}")
pair

# %% [markdown]
# ## What is alike, and what is not
# The coherence is 1 where both passes see the same, and 0 where nothing is left of it. Meadows keep it, trees do not: their leaves move.
# Where there is none, the estimate is still more than 0, by chance; `coherence_bias` says how much. The more samples in a cell, the less.

# %%
pair = pair.compute()
print(pair.coherence.attrs["coherence_bias"])
fig, axes = plt.subplots(1, 2, figsize=(9.5, 5), layout="constrained")
pair.coherence.plot.imshow(ax=axes[0], cmap="gray", vmin=0, vmax=1)
axes[0].set(title="coherence", xticks=[], yticks=[], xlabel="", ylabel="")
axes[1].hist(pair.coherence.values[np.isfinite(pair.coherence.values)], bins=80)
axes[1].set(xlabel="coherence", ylabel="pixels", title="trees and meadows")
plt.show()

# %% [markdown]
# ## What geometry would have done
# Without a terrain model, the hills are in the phase: both orbits are not at the same place, and see the relief from two sides. One colour
# cycle is `height_of_ambiguity` metres of relief on the left. On the right the terrain's phase is taken out: what remains is the earthquake.
# There, one cycle is half a wavelength, 2.8 cm along the line of sight.

# %%
relief = gl.open_pair(before, after, multilook=(10, 2), refine=pair.attrs["delay_seconds"]).phase.compute()
fig, axes = plt.subplots(1, 2, figsize=(9.5, 5), layout="constrained")
for ax, (title, phase) in zip(axes, {"without terrain": relief, "with terrain": pair.phase}.items(), strict=True):
    phase.plot.imshow(ax=ax, cmap="twilight", vmin=-np.pi, vmax=np.pi)
    ax.set(title=title, xticks=[], yticks=[], xlabel="", ylabel="")
plt.show()

# %% [markdown]
# ## A clock that is late
# The antenna turns during a burst, so that a place at its end is seen from ahead and from behind in the next. If the second image is late by
# a small part of a line, the phase jumps from burst to burst. `gl.open_pair` measures the delay in the overlaps (enhanced spectral diversity)
# and takes it out. Without that:

# %%
alone = gl.open_pair(before, after, dem=dem, multilook=(10, 2), refine=False).phase.compute()
jump = np.angle(np.exp(1j * (alone - pair.phase)))
fig, ax = plt.subplots(figsize=(5.4, 5), layout="constrained")
ax.imshow(jump, cmap="RdBu", vmin=-1, vmax=1)
ax.set(title="phase by the orbits alone, less the refined one", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## Centimetres
# The phase is known up to whole cycles: along a line where it changes slowly they are counted by `np.unwrap`. On a map this is a task for a
# program such as SNAPHU, which takes `pair.interferogram` and `pair.coherence`. Here the line goes through both sides of the fault, and the
# phase is that of means of 3 × 3 cells.

# %%
smooth = pair.interferogram.rolling(y=3, x=3, center=True).mean()
line = smooth.isel(y=smooth.sizes["y"] // 2).dropna("x")
centimetres = -100 * np.unwrap(np.angle(line)) * pair.phase.attrs["metres_per_radian"]
centimetres -= np.median(centimetres[:8])
up = float(pair.los_up.mean())
fig, ax = plt.subplots(figsize=(8, 3.2))
ax.plot((line.x - line.x[0]) / 1000, centimetres)
ax.set(
    xlabel="km to the east",
    ylabel="cm towards the satellite",
    title=f"if the ground only rose, it rose by 1 / {up:.2f} of this",
)
plt.show()
