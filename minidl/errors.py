"""Where errors of a command become one sentence on stderr and an exit code.

    0          success
    1          training failed
    2          invalid input, or an error of a file, a device or memory
    128 + N    stopped by signal N: 130 after Ctrl-C, 143 after SIGTERM, 141 when the reader of a pipe has gone

Bugs keep their traceback. MINIDL_TRACEBACK=1 in the environment gives every error its traceback.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from minidl.text import write

Problem = TypeVar("Problem", bound=BaseException)


def always(error: BaseException) -> bool:
    """Whether the only process reports an error."""
    return True


speaks: Callable[[BaseException], bool] = always             # `distributed/mpi.py` replaces it for several processes


def run(main: Callable[[], int | None], program: str, interrupted: str = "stopped") -> int | None:
    """Call `main()` and return its result, or print "program: sentence" and return an exit code.

    ValueError, OSError and MemoryError exit with 2; any other error is reported if it has an attribute `exit_code`.
    `interrupted` is the sentence for Ctrl-C.
    """
    try:
        result = main()
        if sys.stdout is not None:
            sys.stdout.flush()                   # now, where a full disk is an error, and not when Python ends
        return result
    except BrokenPipeError:                      # as in `minidl zoo | head -n 3`: the reader has seen enough
        discard_output()
        return 128 + signal.SIGPIPE
    except (Exception, KeyboardInterrupt) as error:
        code = exit_code(error)
        if not speaks(error):
            discard_output()
            return 1 if code is None else code
        if code is None or os.environ.get("MINIDL_TRACEBACK") == "1":
            raise
        plain_interrupt = isinstance(error, KeyboardInterrupt) and not str(error)
        if sys.stderr is not None:
            with suppress(OSError):              # a full disk; the exit code says it too
                write(f"{program}: {interrupted if plain_interrupt else sentence(error)}", sys.stderr)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF):
            discard_output()
        return code


def for_command(error: Problem, text: str) -> Problem:
    """`error` with `text` for users of the command line, with flags in place of Python's arguments."""
    error.for_command = text                     # type: ignore[attr-defined]
    return error


def discard_output() -> None:
    """Let what is still to be written to stdout vanish: it cannot be written, and Python would try again at its end."""
    with suppress(OSError, ValueError, AttributeError):              # no stdout, or one without a descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_code(error: BaseException) -> int | None:
    """The exit code for an error that a user can do something about; None for a bug."""
    code = getattr(error, "exit_code", None)
    if code is not None:
        return code
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return 2 if isinstance(error, ValueError | OSError | MemoryError) else None


def sentence(error: BaseException) -> str:
    """The text of an error, for a user. An OSError's own text begins with its number, which helps nobody.

    An error may have another text for commands, in the attribute that the function `for_command` sets.
    """
    if text := getattr(error, "for_command", None):
        return text
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or ("out of memory" if isinstance(error, MemoryError) else type(error).__name__)
