"""Who gets in: the second factor, locks after wrong passwords, idle logins."""
