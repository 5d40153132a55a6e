"""Time limits, and work beside the event loop."""
