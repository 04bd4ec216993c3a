"""What became of a push, and finding it again."""
