"""What do other people's catalogues answer? GEODES, STAC APIs, static ones: Items that mean what STAC says."""
