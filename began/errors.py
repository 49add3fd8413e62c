"""The one error that a user is meant to read, and names that are safe to print."""

from __future__ import annotations

import errno
import lzma
import re
import zipfile
import zlib
from collections.abc import Sequence

ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, RuntimeError)
"""What reading JSON from a damaged archive raises; RuntimeError: a password, a later version, JSON nested too deep."""


def printable(text: object, keep: str = "") -> str:
    """Returns a path or text for any terminal, in one line: control characters and bytes that are not UTF-8 are escaped.

    Args:
        keep: characters that stay as they are, such as the line feeds of several lines.
    """
    return "".join(
        letter if letter.isprintable() or letter in keep else letter.encode("unicode_escape").decode() for letter in str(text)
    )


def counted(number: int, noun: str) -> str:
    """Returns a number of things in words: "1 recording", "2 recordings"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def shorten(items: Sequence[str], limit: int = 5) -> str:
    """Returns the first items, and how many more there are."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def is_full(error: OSError) -> bool:
    """Tells whether an error is about space on a disk, or the limit of a file's size, that of temporary files included."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No usable temporary directory" in str(error)


def is_resource_error(error: BaseException) -> bool:
    """Tells whether an error is about this machine now, not about a file: it has no space, memory or open files left."""
    if isinstance(error, OSError):
        return is_full(error) or error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"  # TensorFlow's


def raise_resource_error(error: BaseException) -> None:
    """Raises the error again if it is about this machine (`is_resource_error`), so that the file is not called damaged."""
    if is_resource_error(error):
        raise error


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
        sentence = f"found {found}; expected {expected}. {action[:1].upper()}{action[1:].rstrip('.')}."
        return cls(printable(f"{printable(subject)}: {sentence}", keep="\n"))

    @classmethod
    def listing(cls, headline: str, problems: Sequence[object]) -> InputError:
        """Returns one error that lists every problem on a line of its own, under a headline."""
        lines = [f"{headline} ({len(problems)}):", *(f"  - {problem}" for problem in problems)]
        return cls(printable("\n".join(lines), keep="\n"))


def name_cause(error: BaseException) -> str:
    """Returns the message of any error on one line, with nothing left out but the lines of code that TensorFlow puts before it.

    Its first line alone may say nothing: "in user code:", "Graph execution error:", "Exception encountered when calling …".
    """
    text = re.sub(r"\x1b\[\d*m", "", str(error))  # Keras writes in bold
    text = re.sub(r'(?m)^ +File ".*", line \d+, in .*\n(?: +.*\n)?', "", text)
    return " ".join(text.replace("in user code:", "").split()) or type(error).__name__
