"""Put back what is due, retire what is old."""
