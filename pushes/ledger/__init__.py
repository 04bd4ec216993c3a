"""Changes of a delivery's state, and the counts that are kept with them."""
