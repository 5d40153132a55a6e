"""The configured providers, and what is known of their instances."""
