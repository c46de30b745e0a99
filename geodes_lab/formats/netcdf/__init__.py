"""NetCDF and HDF5, opened in place."""
