"""One pool for all tests that need workers; a runtime directory of its own for each that needs a supervisor."""

from __future__ import annotations

import pytest

from dagnb.runtime.pool import LocalPool
from tests.runtime.life import private_directory


@pytest.fixture(scope="session")
def pool() -> LocalPool:
    return LocalPool.connect()


@pytest.fixture
def directory():
    with private_directory() as found:
        yield found
