"""Answers that several calls share: caches and flights."""
