"""What became of pushes: the log, the pushes, dead letters, exports, and why somebody got nothing."""
