"""What a plugin is made of, how it is found, and what it can bring."""
