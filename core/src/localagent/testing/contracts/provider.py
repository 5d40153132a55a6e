class ProviderContract:
    pass
