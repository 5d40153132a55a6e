"""Runs GGUF models on this machine with llama.cpp. The child also imports this package, so it imports nothing."""
