"""What do the pixels say of land, sea and air? Functions on cubes, each checked against an independent computation."""
