"""The cases. Each module has a coroutine function ``rows`` that takes a ``Bench`` and returns rows of the report."""
