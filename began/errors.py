"""The one error that a user is meant to read."""

from __future__ import annotations

import re
from collections.abc import Sequence


class InputError(ValueError):
    """Something that the user gave cannot be used: a file, a folder, an option, a results folder.

    Scripts print its message on one line and exit with code 2; everything else is a defect and keeps its traceback.
    """

    @classmethod
    def about(cls, subject: object, found: object, expected: object, action: str) -> InputError:
        """Returns the error `SUBJECT: found …; expected …; what to do`, its arguments in the order of that sentence.

        Args:
            subject: the file, folder or option.
            found, expected: what is there, and what should be there.
            action: what the user can do about it, as an imperative.
        """
        return cls(f"{subject}: found {found}; expected {expected}. {action[:1].upper()}{action[1:].rstrip('.')}.")

    @classmethod
    def listing(cls, headline: str, problems: Sequence[object]) -> InputError:
        """Returns one error that lists every problem on a line of its own, under a headline."""
        return cls("\n".join([f"{headline} ({len(problems)}):", *(f"  - {problem}" for problem in problems)]))


def name_cause(error: BaseException) -> str:
    """Returns the message of any error on one line, with nothing left out but the lines of code that TensorFlow puts before it.

    Its first line alone may say nothing: "in user code:", "Graph execution error:", "Exception encountered when calling …".
    """
    text = re.sub(r"\x1b\[\d*m", "", str(error))  # Keras writes in bold
    text = re.sub(r'(?m)^ +File ".*", line \d+, in .*\n(?: +.*\n)?', "", text)
    return " ".join(text.replace("in user code:", "").split()) or type(error).__name__
