"""What do other catalogues answer? GEODES, STAC APIs, static ones: Items that follow STAC."""
