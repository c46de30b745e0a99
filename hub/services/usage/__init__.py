"""The accounts of use: core-hours, memory-hours, bytes read and storage, by person, group and collection."""
