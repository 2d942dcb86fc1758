"""The one exception that a user is meant to see."""


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
