"""People at the console: sign-in by OpenID Connect, their sessions and roles."""
