"""What can be computed? Processes: small functions over a cube or over Items, with typed inputs.

`registry` finds them, `inputs` makes schemas of their signatures and checks what is given, `shipped` has those of the
lab. `geodes_lab.batch` runs them.
"""
