"""LocalAgent."""
