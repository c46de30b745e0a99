"""Jobs of all people of the lab: OGC API – Processes, and the store that people's runners and kernels share.

It never computes, never reads a product and never loads code of a person: a runner of each person does, with the
rights of that person.
"""
