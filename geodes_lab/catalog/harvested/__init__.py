"""How is a catalogue stored in files, and searched without a service? Snapshots in GeoParquet, and DuckDB."""
