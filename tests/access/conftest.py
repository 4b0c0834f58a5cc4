"""Passwords that cost little: what they cost is argon2's own business."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from tailrace.access import passwords


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", lambda: cheap)
    passwords._nobody.cache_clear()
    passwords._nobody()
