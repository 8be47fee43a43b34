"""What the checkpoint tools say when they stop: an exit code of docs/operations.md and one message that is safe to print."""
from __future__ import annotations

import sys
from typing import Callable, NoReturn

EXIT_RUNTIME, EXIT_USAGE, EXIT_CORRUPT = 1, 2, 4


class Refusal(Exception):
    """The input is damaged, hostile or not supported. The message says what was expected, what was found, and what to do."""

    def __init__(self, message: str, code: int = EXIT_CORRUPT) -> None:
        super().__init__(message)
        self.code = code


def refuse(message: str, code: int = EXIT_CORRUPT) -> NoReturn:
    raise Refusal(message, code)


def shown(text: object, limit: int = 120) -> str:
    """A name from a file as it may stand in a message: short, and without control characters."""
    text = text if isinstance(text, str) else type(text).__name__
    text = text[: limit + 1]
    clean = "".join(c if c.isprintable() else "\\x%02x" % ord(c) for c in text)
    return clean if len(clean) <= limit else clean[:limit] + "..."


def run_tool(name: str, main: Callable[[], int]) -> NoReturn:
    """Runs main and ends the process: what failed goes to stderr in one line, and no trace of it to stdout."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # file names may be any bytes
    try:
        sys.exit(main())
    except Refusal as refusal:
        message, code = str(refusal), refusal.code
    except (OSError, MemoryError) as error:
        message, code = f"{type(error).__name__}: {shown(str(error), 300)}", EXIT_RUNTIME
    except KeyboardInterrupt:
        message, code = "interrupted; nothing was written", EXIT_RUNTIME
    print(f"{name}: error: {message}", file=sys.stderr)
    sys.exit(code)
