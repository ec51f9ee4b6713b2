"""Example modules that an operator can name, and start from."""
