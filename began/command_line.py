"""What every script does with its arguments and its errors."""

from __future__ import annotations

import argparse
import atexit
import os
import sys
from collections.abc import Callable, Sequence

from began.errors import InputError


def run_script(main: Callable[[argparse.Namespace], int | None], parser: argparse.ArgumentParser,
               argv: Sequence[str] | None = None) -> int:
    """Parses the arguments, runs `main` with them, and turns its outcome into an exit code.

    Returns:
        What `main` returns (None counts as 0); 2 after an InputError; 130 after Ctrl-C.
    """
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args(argv)
    # TensorFlow reads this once, when it is imported: its start-up notes would bury the progress lines.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return main(arguments) or 0
    except InputError as error:
        if arguments.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        if arguments.debug:
            raise
        print("\nInterrupted. What was finished is kept: the same command goes on from there.", file=sys.stderr)
        if argv is None:
            _leave(130)
        return 130


def _leave(code: int) -> None:
    """Ends the process without taking TensorFlow apart, which would keep someone who pressed Ctrl-C waiting for seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    atexit._run_exitfuncs()  # temporary folders, semaphores and worker processes are cleared away as ever
    os._exit(code)
