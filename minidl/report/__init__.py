"""What a run leaves for people to read: the log, the curves, and the report of the test."""

from minidl.report.report import report

__all__ = ["report"]
