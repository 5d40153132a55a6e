"""Records: what plugins and core hand each other."""
