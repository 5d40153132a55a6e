"""The APIs of OpenAI, Anthropic and Ollama, and what they stand on."""
