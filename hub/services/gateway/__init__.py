"""The configuration of dask-gateway, and a cap for each user."""
