"""The one exception that a user is meant to see, and which errors of the system are the user's."""

import errno

_SPACE = "free some space or choose another place, then repeat the command"
_PERMISSION = "choose a place that you may read and write"
_NAME = "choose another name, or move away what is there"

DISK_CURES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EROFS: "choose a place that can be written to",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EEXIST: _NAME,
    errno.ENOTDIR: _NAME,
    errno.EISDIR: _NAME,
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: "check the disk or choose another one, then repeat the command",
}
"""What to do about an error of the user's disk, by `OSError.errno`; others are bugs of ours."""


class UserError(Exception):
    """A mistake that the user can put right, told in one line.

    Apps print it without a traceback and exit with code 2 (see `roadmark.app`).

    Args:
        where: The file, and the line, record, box, field or flag in it.
        problem: What was found and what was expected.
        cure: What to do about it, as an imperative.
    """

    def __init__(self, where: str, problem: str, cure: str):
        self.where = str(where)
        self.problem = problem
        self.cure = cure
        super().__init__(" ".join(f"{where}: {problem}; {cure}".split()))
