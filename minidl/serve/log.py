"""The log of a server: one line for each request, and for what happens besides; in words, or as JSON."""

import json
import logging
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from minidl.text import write


class Log:
    """Writes lines to stderr. form: "plain", "json", or "none", with which only warnings and errors are written."""

    def __init__(self, form: str) -> None:
        self.form = form

    def request(self, **facts: Any) -> None:
        """A request that was answered."""
        if self.form == "json":
            self.line("request", facts)
        elif self.form == "plain":
            more = "".join(f" {name}={facts[name]}" for name in ("model", "images", "id") if name in facts)
            self.write(f"{facts['status']} {facts['method']} {facts['path']} {facts['milliseconds']:.1f} ms{more}")

    def event(self, text: str, level: str = "info", **facts: Any) -> None:
        """Something else that an administrator wants to know."""
        if self.form == "json":
            self.line(level, {"message": text, **facts})
        elif self.form == "plain" or level != "info":
            self.write(f"{level}: {text}" + "".join(f" {name}={value}" for name, value in facts.items()))

    def bug(self, error: BaseException, **facts: Any) -> None:
        """An error that should not be, with its traceback; the client is told only the request's id."""
        trace = "".join(traceback.format_exception(error))
        if self.form == "json":
            self.line("error", {"message": str(error), **facts, "traceback": trace})
        else:
            self.event(f"{type(error).__name__}: {error}", "error", **facts)
            for line in trace.splitlines():
                self.write(line)

    def line(self, kind: str, facts: dict[str, Any]) -> None:
        self.put(json.dumps({"time": now(), "level": kind, **facts}, default=str))

    def write(self, text: str) -> None:
        """A line in words."""
        self.put(f"{now()} {text}")

    def put(self, line: str) -> None:
        if sys.stderr is not None:
            with suppress(OSError):              # a full disk must not cost the answer
                write(line, sys.stderr)


class Forwarded(logging.Handler):
    """What uvicorn and asyncio log, from warnings on, into a Log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            self.log.bug(record.exc_info[1], during=text)
        else:
            self.log.event(text, record.levelname.lower())


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
