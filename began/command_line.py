"""What every command does with its arguments and its errors."""

import argparse
import atexit
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType

from began.errors import InputError
from began.startup import set_environment

INTERRUPTED = "\nInterrupted. What was finished is kept: the same command goes on from there."


def run_script(
    main: Callable[[argparse.Namespace], int | None], parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> int:
    """Runs `main` with the arguments; returns the exit code: what it returns, 2 after an InputError, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):  # names of files and labels need not fit the terminal, nor our dashes
        getattr(stream, "reconfigure", lambda **options: None)(errors="backslashreplace")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter  # descriptions keep their lines
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args(argv)
    set_environment()
    if arguments.debug:
        return main(arguments) or 0
    if argv is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it may be ignored, as under nohup
        signal.signal(signal.SIGINT, _interrupt)
    try:
        try:
            code = main(arguments) or 0
        except Exception as error:
            if _interrupted:  # TensorFlow's import, for one, makes an ImportError of it
                raise KeyboardInterrupt from error
            raise
        sys.stdout.flush()  # where a full disk would else show after the end
        return code
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has enough, as `head` does
        _discard_output()
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        # Results have an InputError of their own: this is a temporary file, or what the shell redirects the output to.
        found, where = f"found that it cannot be written ({error.strerror})", error.filename or "output"
        print(f"error: {where}: {found}; expected free space. Free some, or use another disk.", file=sys.stderr)
        _discard_output()
        return 2
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        if argv is None:
            _leave(130)
        return 130


_interrupted = False


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt


def _discard_output() -> None:
    """Sends standard output nowhere, so that Python does not fail to write what it still holds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(code: int) -> None:
    """Ends the process without taking TensorFlow apart, which would keep someone who pressed Ctrl-C waiting for seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Workers that are still starting, or kept for the next training, would be waited for.
    if "multiprocessing" in sys.modules:
        for child in sys.modules["multiprocessing"].active_children():
            child.kill()
    atexit._run_exitfuncs()  # temporary folders, semaphores and worker processes are cleared away as ever
    os._exit(code)


def _excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt) and "--debug" not in sys.argv:
        print(INTERRUPTED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


# Ctrl-C while a script's own imports run, before `run_script` can catch it.
sys.excepthook = _excepthook
