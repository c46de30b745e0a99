"""The catalogue as a service of the hub.

A STAC API of what was harvested and of the users' own results, and its page.
"""
