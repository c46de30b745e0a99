"""Which kernels may a person start, in which environments, and what do their cells leave behind?"""
