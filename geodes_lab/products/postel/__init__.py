"""POSTEL: global maps in HDF5."""
