"""Text from outside: visible characters, spelling of ids and tokens, JSON, CSV and spreadsheets."""
