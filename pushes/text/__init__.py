"""Text as other people write it: what it shows, how ids and tokens are spelled, JSON, CSV and spreadsheets."""
