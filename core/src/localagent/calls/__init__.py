"""A call from its request to its answer: attempts, whole answers, streams."""
