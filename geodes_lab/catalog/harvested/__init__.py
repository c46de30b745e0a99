"""How is a catalogue kept in files, and searched without a service? Snapshots in GeoParquet, and DuckDB."""
