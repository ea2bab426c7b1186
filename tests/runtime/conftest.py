"""One pool for all tests that need workers."""

from __future__ import annotations

import pytest

from dagnb.runtime.pool import LocalPool


@pytest.fixture(scope="session")
def pool() -> LocalPool:
    return LocalPool.connect()
