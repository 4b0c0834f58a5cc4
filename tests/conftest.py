"""Settings shared by all tests."""

import pytest

pytest_plugins = ["tests.left_out"]

# Before anything imports it: failures inside the shared contract suites show their values, as those of test files do.
pytest.register_assert_rewrite("tailrace.testing.contracts")
