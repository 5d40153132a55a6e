"""The APIs of OpenAI, Anthropic and Ollama, and their common base."""
