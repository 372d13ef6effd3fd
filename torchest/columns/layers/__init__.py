"""The device half of columns: layers and tables."""
