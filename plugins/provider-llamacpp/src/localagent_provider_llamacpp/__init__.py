"""Run GGUF models on this machine with llama.cpp. The child process imports this package too, so it imports nothing."""
