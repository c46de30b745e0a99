"""A Kubernetes API in small, over real HTTP on loopback: it keeps objects, answers lists and watches, and refuses what the real one refuses.

It has no controllers but the few that a lab needs: owners' objects go with them, claims are bound, and a node runs pods (`node`).
"""
