"""What knows nothing of Earth observation? XML, boxes, instants, folders, progress bars, limits."""
