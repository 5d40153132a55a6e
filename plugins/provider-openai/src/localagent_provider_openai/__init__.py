"""Any server that speaks the OpenAI API."""

from localagent_provider_openai.plugin import OpenAIPlugin, OpenAISettings

__all__ = ["OpenAIPlugin", "OpenAISettings"]
