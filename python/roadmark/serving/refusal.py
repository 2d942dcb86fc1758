"""The one exception that a client of the service is meant to see."""


class RefusedError(Exception):
    """A request that is not served, told in one line.

    Args:
        status: Of the HTTP answer.
        problem: What was found and what was expected.
        retry_after_s: When the client may try again; None where that would not help.
    """

    def __init__(self, status: int, problem: str, retry_after_s: int | None = None) -> None:
        self.status = status
        self.problem = " ".join(problem.split())
        self.retry_after_s = retry_after_s
        super().__init__(self.problem)
