"""How full a disk is, and what holds programs to a part of it."""
