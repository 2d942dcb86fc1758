"""Keeps the import of TensorFlow quiet. Imports nothing itself."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_LEVEL, _ERRORS = "TF_CPP_MIN_LOG_LEVEL", "2"
# How TensorFlow's C++ code begins a line that it logs at level info or warning before Python code
# could set the level, and what the first of them says about all.
_START_UP_LINE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)|[IW]\d{4} \d\d:\d\d:"
    rb"|E\d{4} .*\] oneDNN supports DT_BOOL only on "
)


@contextlib.contextmanager
def errors_only() -> Iterator[None]:
    """Has TensorFlow, which is imported within, say nothing but errors from its C++ code.

    From then on by TF_CPP_MIN_LOG_LEVEL, unless the environment sets that; but what its start-up
    says is written before that is heeded, straight to file descriptor 2. Whatever else is written
    there meanwhile, such as a library's own complaint, appears afterwards.
    """
    os.environ.setdefault(_LEVEL, _ERRORS)
    sys.stderr.flush()
    with tempfile.TemporaryFile() as captured:
        stderr = os.dup(2)
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            captured.seek(0)
            for line in captured:
                if not _START_UP_LINE.match(line):
                    os.write(2, line)
