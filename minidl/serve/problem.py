"""Requests that cannot be answered, and how they are told so."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

RETRY = {"Retry-After": "1"}


class Problem(Exception):
    """A request is answered with this status and sentence, which names what is wrong and how to mend it."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers


def busy(what: str) -> Problem:
    """The answer while there is too much to do; clients try again."""
    return Problem(503, f"{what}; try again", RETRY)


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response. Raises ValueError for NaN and infinity, which JSON has not."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text.encode("utf-8", "backslashreplace"), status, headers, "application/json")


def answer_to(problem: Problem) -> Response:
    """{"error": sentence}"""
    return answer({"error": str(problem)}, problem.status, problem.headers)
