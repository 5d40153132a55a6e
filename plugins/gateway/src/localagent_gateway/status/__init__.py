"""How a gateway that serves now stands."""
