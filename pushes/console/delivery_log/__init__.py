"""What happened to pushes: the log, pushes, dead letters, exports, and why an account received nothing."""
