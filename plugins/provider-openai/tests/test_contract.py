"""provider-openai keeps the contract of providers."""

from localagent_provider_openai import OpenAIPlugin
from localagent_testing.contracts import OpenAIServer, ProviderContract


class TestOpenAI(ProviderContract):
    plugin = OpenAIPlugin
    server = OpenAIServer()
