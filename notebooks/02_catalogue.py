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
# # Finding products
#
# One call searches every catalogue: the sample of this lab, GEODES, any STAC API, or a catalogue that was harvested beside
# the data. The arguments mean the same everywhere, and the Items follow STAC.
#
# `profile` says where to look: `"local"` is the sample, `"geodes"` is the real service. Nothing else in this notebook changes.

# %%
import pandas as pd

import geodes_lab as gl

profile = "local"
area = (1.73, 43.52, 1.91, 43.63)

# %% [markdown]
# ## What there is
# Each collection, with its time span, and whether `open_cube` can open its products.

# %%
gl.collections(profile=profile)[["title", "start", "end", "count", "format", "open_cube"]].head(15)

# %% [markdown]
# ## Look on the map
# Draw a box with the tool at the left, choose dates, search; click on a footprint to see its picture. The results are in
# `explorer.items`, and `explorer.arguments` is the search as code.

# %%
explorer = gl.explore("PEPS_S2_L1C", bbox=area, datetime="2021-06/2021-08", profile=profile)
explorer

# %%
print(len(explorer.items), "products")
explorer.arguments

# %% [markdown]
# ## Search by words
# `datetime` is the acquisition, even if the service uses that name for the publication. A search displays itself: the footprints, the
# products, and their pictures if these are on this machine.

# %%
items = gl.search("PEPS_S2_L1C", bbox=area, datetime="2021-06/2021-08", cloud_cover=30, profile=profile)
items

# %% [markdown]
# Any queryable of the catalogue is an argument, a colon written as an underscore. A tuple is a range, a list is a choice.

# %%
clear = gl.search(
    "PEPS_S2_L1C",
    bbox=area,
    datetime="2021",
    eo_cloud_cover=(0, 10),
    platform=["S2A"],
    sortby="-datetime",
    limit=6,
    profile=profile,
)
clear

# %% [markdown]
# Two collections at once: optical and radar over the same place.

# %%
both = gl.search(["PEPS_S2_L1C", "PEPS_S1_L1"], bbox=area, datetime="2021-06-05/2021-06-06", profile=profile)
gl.plot.footprints(both, title="5 and 6 June 2021")

# %% [markdown]
# A misspelt name is refused before any request, with a suggestion.

# %%
try:
    gl.search("PEPS_S2_L1C", bbox=area, datetime="2021-06", platfrom="S2A", profile=profile)
except gl.GeodesError as error:
    print(error)

# %% [markdown]
# ## Can it be read now?
# Old products are on tape. The table shows it before anything is computed, and says what to do.

# %%
gl.availability(clear)

# %% [markdown]
# ## Clouds over the season
# The Items are STAC Items, which easily become a table.

# %%
season = gl.search("PEPS_S2_L1C", bbox=area, datetime="2021-06/2021-08", profile=profile)
clouds = {item.datetime: item.properties["eo:cloud_cover"] for item in season}
dates = list(clouds)
picture = pd.Series(clouds, name="cloud cover (%)").plot.bar(figsize=(8, 2.6), rot=60, ylabel="cloud cover (%)")
labels = picture.set_xticklabels([f"{date:%d %b}" for date in dates])

# %% [markdown]
# ## The catalogue near the data
# A collection, or all of them, as stac-geoparquet files beside the data: searches of millions of products take a few
# hundredths of a second, without any request. Another run downloads what is new.

# %%
# !geodes-lab harvest {profile} workspace/catalogue --collection THEIA_SWH-PHASE1_SPOT4_L1C

# %%
gl.search("THEIA_SWH-PHASE1_SPOT4_L1C", datetime="1999", url="workspace/catalogue")
