"""How does an array become a map? Stretch, maps of colours, tiles of lazy cubes, and their address in this process."""
