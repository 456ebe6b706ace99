"""What is wrong with a signature, raised where reading on is pointless."""

from gobuild.binary.view import Malformed
from gobuild.core.model import Problem


class BadSignature(Malformed):
    """A signature breaks a rule that has an id."""

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(problem, detail)


def problem_of(error: Malformed) -> Problem:
    """The problem that stopped the reading; without an id of its own, the signature is not as its format wants it."""
    return error.problem if isinstance(error, BadSignature) else Problem("malformed-signature", str(error))
