"""The usage accounts: core-hours, memory-hours, bytes read and storage, by person, group and collection."""
