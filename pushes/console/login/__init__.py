"""Control logins: the second factor, locks after wrong passwords, idle logins."""
