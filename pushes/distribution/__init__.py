"""A record becomes deliveries: who is addressed, who is eligible, when, and what is taken back."""
