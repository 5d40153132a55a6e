"""The log of a serving process."""
