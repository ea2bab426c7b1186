"""WfFormat (https://wfcommons.org/format), in and out: what others ran is planned here, what ran here is read there."""

from .wf_read import read
from .wf_write import dumps, write

__all__ = ["dumps", "read", "write"]
