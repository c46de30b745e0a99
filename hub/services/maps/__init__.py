"""What the pages with a map share: the map's library and land, boxes that are drawn, shapes of files."""
