"""Accounts and devices, and what is known of them."""
