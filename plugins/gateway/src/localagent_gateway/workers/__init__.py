"""One process that answers, and how it is started."""
