"""The operators' face: pages and buttons, one room for each part of the operators' work."""
