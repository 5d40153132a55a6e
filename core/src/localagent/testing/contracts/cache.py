class CacheContract:
    pass
