# Read by holoviews at import (HOLOVIEWSRC): plots carry their JavaScript, since the lab must work without the internet.
# It takes this, and PANEL_INLINE=true in the environment; neither alone is enough.
import holoviews as hv
import holoviews.ipython

hv.extension.inline = True
holoviews.ipython.notebook_extension.inline = True
