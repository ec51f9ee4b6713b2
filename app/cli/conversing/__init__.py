"""A client of a gateway for the shell: one conversation, its tools and events."""
