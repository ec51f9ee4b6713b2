"""All relays of one process: admit, list, end, drain."""
