"""Every test of the repository runs with the public test kit: no leaks, no secrets, async tests."""

pytest_plugins = ["localagent.testing.pytest_plugin"]
