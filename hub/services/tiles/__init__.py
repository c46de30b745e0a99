"""Tiles of products and mosaics for maps: on the catalogue's page, in QGIS, in JupyterGIS.

The service itself knows who asks and what that person may see, and parses no product. A process beside it parses
products: it has no token, no key and no secret, and reads only what somebody is looking at, through `broker`.
"""
