"""What becomes of each product: recorded by looks, taken by leases, entered in the catalogue."""
