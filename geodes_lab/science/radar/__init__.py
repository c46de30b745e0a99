"""What do radar images say? Speckle, looks, and the backscatter of a field in time."""
