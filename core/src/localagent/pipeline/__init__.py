"""Plugins put into order, compiled to plans, and dispatched."""
