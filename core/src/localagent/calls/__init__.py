"""Runs calls from request to answer: attempts, complete answers and streams."""
