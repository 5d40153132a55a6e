"""Clocks, and work beside the event loop."""
