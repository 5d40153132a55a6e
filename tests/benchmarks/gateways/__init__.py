"""What the gateway's cases stand on: the fake upstream, the load, and the processes that are compared."""
