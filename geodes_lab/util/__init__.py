"""What knows nothing of Earth observation: XML, boxes, instants, folders, bars, limits."""
