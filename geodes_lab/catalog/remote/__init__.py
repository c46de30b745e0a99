"""What do other people's catalogues answer? GEODES, STAC APIs and static catalogues, within bounds, as Items that mean what STAC says."""
