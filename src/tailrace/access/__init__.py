"""Who may do what: users, keys, sessions, scopes, and what each route needs."""
