"""What values are in this window? A band on a grid as numpy: by tiles where the format allows it, else by GDAL."""
