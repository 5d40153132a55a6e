"""The HTTP server: connections, bodies, and the limits on clients."""
