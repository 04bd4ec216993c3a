"""The operators' face: what they see and press, one room for each part of their work."""
