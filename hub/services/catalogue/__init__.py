"""The catalogue as a service of the hub.

A STAC API of the harvested catalogue and of the users' own results, with a page.
"""
