"""What every command does with its arguments and its errors."""

import argparse
import atexit
import codecs
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, TracebackType

from began.errors import InputError, is_full, is_resource_error, name_cause, printable
from began.startup import set_environment

GOES_ON = "What was finished is kept: the same command goes on from there."
"""Of commands that do so, for `run_script`."""
INTERRUPTED = "\nInterrupted."


def _keep_bytes(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.backslashreplace_errors(error)


KEEP_BYTES = "keep_bytes"
"""How a stream takes names of files that are not UTF-8: as their own bytes. What else its encoding lacks is escaped."""
codecs.register_error(KEEP_BYTES, _keep_bytes)


def run_script(
    main: Callable[[argparse.Namespace], int | None],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    kept: str = "",
) -> int:
    """Runs `main` with the arguments, and returns the exit code.

    It is what `main` returns; 2 after an InputError; 130, 143 and 129 after Ctrl-C, SIGTERM and SIGHUP, which all end alike.

    Args:
        kept: a sentence on what there is after the command was cut off, such as GOES_ON.
    """
    if argv is None:
        _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):  # names of files and labels need not fit the terminal, nor our dashes
        # Whoever follows a log file sees a line when it is printed, not when 8 kB of them are.
        getattr(stream, "reconfigure", lambda **options: None)(errors="backslashreplace", line_buffering=True)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter  # descriptions keep their lines
    if argv is None and (name := Path(sys.argv[0]).name).startswith("began-"):
        parser.prog = name  # installed as a program, and called so
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    # Options may stand before, between and behind files; but only `parse_args` knows what "--" means.
    words = sys.argv[1:] if argv is None else argv
    if empty := _find_empty(words):
        action = "give one; a variable that the shell does not know is empty"
        _say(f"error: {InputError.about(empty, 'an empty argument', 'a value', action)}")
        return 2
    arguments = (parser.parse_args if "--" in words else parser.parse_intermixed_args)(words)
    set_environment()
    if arguments.debug:
        return main(arguments) or 0
    if argv is None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):  # it may be ignored, as under nohup
                signal.signal(number, _interrupt)
    try:
        try:
            code = main(arguments) or 0
        except Exception as error:
            if _interrupted_by:  # TensorFlow's import, for one, makes an ImportError of it
                raise KeyboardInterrupt from error
            raise
        sys.stdout.flush()  # where a full disk would else show after the end
        return code
    except InputError as error:
        _say(f"error: {error}")
        return 2
    except BrokenPipeError:  # whoever read the output has enough, as `head` does
        _discard_output()
        return 0
    except Exception as error:
        if not is_resource_error(error):
            raise
        _say(f"error: {_describe_passing(error, arguments, kept)}".rstrip())
        _discard_output()
        return 2
    except KeyboardInterrupt:
        _say(f"{INTERRUPTED} {kept}".rstrip(" "))
        code = 128 + (_interrupted_by or signal.SIGINT)  # as a shell names it
        if argv is None:
            _leave(code)
        return code


def _find_empty(words: Sequence[str]) -> str:
    """Returns which argument is empty, which as a path would be the current folder; "" where none is."""
    for number, word in enumerate(words):
        option, sign, value = word.partition("=")
        if sign and not value and option.startswith("--") and "--" not in words[:number]:
            return option
        if not word:
            return f"argument {number + 1}" + (f", behind {words[number - 1]}" if number else "")
    return ""


def _describe_passing(error: Exception, arguments: argparse.Namespace, kept: str) -> str:
    """Returns what this machine has too little of, and what to do."""
    if isinstance(error, OSError) and is_full(error):
        # Results have an InputError of their own: this is a temporary file, or what the shell redirects the output to.
        found, where = f"found that it cannot be written ({error.strerror})", error.filename or "output"
        return f"{printable(where)}: {found}; expected free space. Free some, or use another disk."
    if isinstance(error, OSError) and error.errno != errno.ENOMEM:
        found, action = f"{error.strerror} (limit: ulimit -n)", "Close other programs, or raise the limit"
        return f"{printable(error.filename or 'files')}: found {found}; expected room for more. {action}. {kept}"
    found = f"too little memory ({name_cause(error)[:200]})"
    has_workers = isinstance(getattr(arguments, "workers", None), int)  # those of the pre-training are machines
    action = "Close other programs" + ", or run fewer processes (--workers N)" * has_workers
    return f"memory: found {found}; expected more. {action}. {kept}"


_interrupted_by = 0
"""The signal that ends the command; 0: none has."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interrupted_by
    _interrupted_by = number
    raise KeyboardInterrupt


def _open_closed_streams() -> None:
    """Opens streams that the shell has closed (`>&-`) to nowhere: the next file would get their number, and what is printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))


def _say(line: str) -> None:
    """Prints a last line on standard error, if anybody is still reading there."""
    try:
        print(line, file=sys.stderr)
    except OSError:
        _discard_output()


def _discard_output() -> None:
    """Sends standard output and error nowhere, so that Python does not fail to write what it still holds."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)


def _leave(code: int) -> None:
    """Ends the process without taking TensorFlow apart, which would keep someone who pressed Ctrl-C waiting for seconds."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        _discard_output()
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
