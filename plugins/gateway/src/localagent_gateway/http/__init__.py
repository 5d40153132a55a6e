"""The HTTP server: connections, bodies, and what keeps clients within bounds."""
