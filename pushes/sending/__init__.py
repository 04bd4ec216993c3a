"""Send deliveries and write the outcomes on their rows."""
