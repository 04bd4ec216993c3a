"""A delivery becomes an outcome on its row."""
