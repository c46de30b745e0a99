"""What does a canopy have? LAI, FAPAR, FCOVER, chlorophyll and water from Sentinel-2's surface reflectance."""
