"""Sharing answers between calls: caches and flights."""
