"""What goes over the wire: HTTP, event streams, the common tongue, and the errors that answers become."""
