"""LocalAgent as a server: any OpenAI, Ollama or Anthropic client talks to the pipeline."""

from localagent_gateway.plugin import GatewayPlugin
from localagent_gateway.settings import GatewaySettings

__all__ = ["GatewayPlugin", "GatewaySettings"]
