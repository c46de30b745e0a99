"""What values are in this window? A band on a grid as numpy: by tiles where they are understood, else by GDAL."""
