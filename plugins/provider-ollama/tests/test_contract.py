"""provider-ollama keeps the contract of providers."""

from localagent.testing.contracts import OllamaServer, ProviderContract
from localagent_provider_ollama import OllamaPlugin


class TestOllama(ProviderContract):
    plugin = OllamaPlugin
    server = OllamaServer()
