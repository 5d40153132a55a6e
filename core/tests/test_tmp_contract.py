from localagent.testing import ProviderContract, OpenAIServer, OllamaServer
from localagent_provider_openai import OpenAIPlugin
from localagent_provider_ollama import OllamaPlugin
class TestOpenAI(ProviderContract):
    plugin = OpenAIPlugin
    server = OpenAIServer()
class TestOllama(ProviderContract):
    plugin = OllamaPlugin
    server = OllamaServer()
