"""The images in a request's body: the body itself, or the files in multipart/form-data."""

from typing import Any, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from minidl.serve.problem import Problem

FIELD = "images"


class Image(NamedTuple):
    """A file that was sent, and the name that it had at the client."""

    name: str | None
    content: bytes


def images_in(body: bytes, kind: str, most: int) -> list[Image]:
    """The images in a body of the media type `kind`, at most so many. Raises Problem."""
    if not kind.lower().startswith("multipart/"):
        if not body:
            raise Problem(400, "the body is empty; send an image in it, as the raw body or as multipart field images")
        return [Image(None, body)]
    boundary = parse_options_header(kind)[1].get(b"boundary")
    if not boundary:
        raise Problem(400, "the multipart body cannot be read: its media type has no boundary")
    parts = Parts(most)
    try:
        callbacks: Any = {name: getattr(parts, name) for name in EVENTS}
        MultipartParser(boundary, callbacks).write(body)
    except FormParserError as error:
        raise Problem(400, f"the multipart body cannot be read: {error}"[:200]) from None
    if not parts.complete:
        raise Problem(400, "the multipart body ends before its last boundary")
    if not parts.images:
        raise Problem(400, f"there is no file in the field {FIELD} of the multipart body")
    return parts.images


class Parts:
    """Collects the parts of a body as the parser finds them."""

    def __init__(self, most: int) -> None:
        self.images: list[Image] = []
        self.most = most
        self.complete = False

    def on_part_begin(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.content = bytearray()
        self.name = self.value = b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def on_header_end(self) -> None:
        self.headers[self.name.lower()] = self.value
        self.name = self.value = b""

    def on_headers_finished(self) -> None:
        options = parse_options_header(self.headers.get(b"content-disposition", b""))[1]
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field != FIELD or b"filename" not in options:
            raise Problem(400, f"the field {field!r:.80} is not a file called {FIELD}; send files in the field {FIELD}")
        if len(self.images) == self.most:
            raise Problem(413, f"more than {self.most} images are too many for one request")
        self.file = options[b"filename"].decode("utf-8", "replace")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.content += data[start:end]

    def on_part_end(self) -> None:
        self.images.append(Image(self.file, bytes(self.content)))

    def on_end(self) -> None:
        self.complete = True


EVENTS = [name for name in vars(Parts) if name.startswith("on_")]
