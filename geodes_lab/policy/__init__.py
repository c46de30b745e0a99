"""What the operator of a lab decides, in one YAML, and what follows from it for a person.

One module for the hub and the doctor.

It needs only PyYAML, so that a hub's image without the rest of the lab can have it.
"""
