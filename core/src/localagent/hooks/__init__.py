"""The specifications of all hooks."""
