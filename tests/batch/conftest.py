"""Failures inside the shared contract suite show their values, as those of test files do."""

import pytest

pytest.register_assert_rewrite("tailrace.testing.contracts")
