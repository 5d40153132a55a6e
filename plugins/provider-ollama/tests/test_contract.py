"""provider-ollama keeps the contract of providers."""

from localagent_provider_ollama import OllamaPlugin
from localagent_testing.contracts import OllamaServer, ProviderContract


class TestOllama(ProviderContract):
    plugin = OllamaPlugin
    server = OllamaServer()
