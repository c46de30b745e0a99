"""How do objects of pystac come without harm? Shown as text alone, and without reading their roots."""
