"""The gateway's own keys: how they look, where they are kept, and who is let in by them."""
