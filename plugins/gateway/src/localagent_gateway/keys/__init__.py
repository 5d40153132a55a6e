"""The gateway's own keys: their format, their store, and authentication with them."""
