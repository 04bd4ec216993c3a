"""Requeue what is due, and delete what is old."""
