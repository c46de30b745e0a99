"""The acquisition of products: how a newly published one comes to the datalake.

An engine looks at sources, fetches what is new, verifies it, stores it, and enters it in a catalogue. See `mirror` for
a few products, ``geodes-lab acquire`` for a region that is kept up to date.
"""
