"""The provider for Ollama, through its native API."""

from localagent_provider_ollama.plugin import OllamaPlugin
from localagent_provider_ollama.settings import OllamaSettings

__all__ = ["OllamaPlugin", "OllamaSettings"]
