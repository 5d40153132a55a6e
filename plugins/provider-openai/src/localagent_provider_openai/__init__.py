"""The provider for any server with an OpenAI-compatible API."""

from localagent_provider_openai.plugin import OpenAIPlugin, OpenAISettings

__all__ = ["OpenAIPlugin", "OpenAISettings"]
