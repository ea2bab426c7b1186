"""What a refusal means, in the words of all servers that dagnb runs with."""

from __future__ import annotations

import pytest

from dagnb.runtime.wire import passes


@pytest.mark.parametrize(
    ("refusal", "again"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", True),
        ("MISCONF Errors writing to the AOF file: No space left on device", True),
        ("LOADING Redis is loading the dataset in memory", True),
        (
            "ERR Error running script (call to f_a1): @user_script:221: @user_script: 221: -OOM command not allowed",
            True,
        ),
        ("ERR Error running script (call to f_a1): @user_script:17: -MISCONF Errors writing to the AOF file", True),
        ("ERR Error running script (call to f_a1): @user_script:3: attempt to call a nil value", False),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", False),
        ("NOSCRIPT No matching script", False),
    ],
)
def test_what_passes_is_sent_again(refusal, again):
    assert passes(refusal) is again
