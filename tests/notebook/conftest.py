"""The shell and the kernel that the tests of this folder share."""

import pytest

from tests.notebook import kernel as kernels
from tests.notebook import shell as shells


@pytest.fixture
def nb(capsys):
    """An IPython shell in this process, with dagnb loaded."""
    with shells.shell(capsys) as shell:
        yield shell


@pytest.fixture(scope="module")
def kernel():
    """A real kernel with dagnb loaded, one for a file of tests."""
    with kernels.kernel() as running:
        assert running.run(kernels.SETUP).status == "ok"
        yield running
