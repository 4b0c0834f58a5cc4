"""Settings shared by all tests."""

pytest_plugins = ["tests.left_out"]
