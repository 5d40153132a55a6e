"""provider-openai keeps the contract of providers."""

from localagent.testing.contracts import OpenAIServer, ProviderContract
from localagent_provider_openai import OpenAIPlugin


class TestOpenAI(ProviderContract):
    plugin = OpenAIPlugin
    server = OpenAIServer()
