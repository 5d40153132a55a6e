"""The status of a running gateway."""
