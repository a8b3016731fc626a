"""From a request to a film."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from flask import Request
from werkzeug.exceptions import BadRequest, NotFound, UnsupportedMediaType

from xray_chest_detection.core.images import Radiograph, decode_image
from xray_chest_detection.web.gallery import Gallery
from xray_chest_detection.web.limits import stop_if_late

FORM = "multipart/form-data"
RAW = ("application/dicom", "application/octet-stream")
NAME_LENGTH = 80


@dataclass(frozen=True)
class Film:
    """A film as it came and as it was read."""

    content: bytes
    radiograph: Radiograph


def film_of(request: Request, gallery: Gallery, *, max_pixels: int) -> Film:
    """The film of a request: its body, or the `file` of its form, or the `sample` that its form names.

    Raises:
        BadRequest: There is none, or more than one, or the file is empty.
        NotFound: There is no such sample.
        UnsupportedMediaType: The content is neither a form nor an image.
        ImageError: The bytes are not an image that can be read.
        GatewayTimeout: Reading it took so long that its client has already been told so.
    """
    content, name = _body(request) if is_raw(request) else _from_form(request, gallery)
    film = Film(content, decode_image(content, name=name, max_pixels=max_pixels))
    stop_if_late(request)
    return film


def is_raw(request: Request) -> bool:
    """Whether the body is the image itself; a body of unnamed content counts as one (RFC 9110, 8.3).

    Raises:
        UnsupportedMediaType: The content is neither a form nor an image.
    """
    kind = request.mimetype
    if kind == FORM:
        return False
    if kind.startswith("image/") or kind in RAW or not kind:
        return True
    raise UnsupportedMediaType(
        f"Content-Type: expected {FORM}, image/*, {' or '.join(RAW)}, got '{one_line(kind)}'; "
        "with curl: -F file=@chest.png, or --data-binary @chest.png -H 'Content-Type: image/png'"
    )


def clean_name(name: str | None) -> str:
    r"""A client's file name made fit for one line of a message: no folders, no control characters, not long.

    >>> clean_name("C:\\films\\chest\n.png")
    'chest.png'
    """
    return one_line(PurePosixPath((name or "").replace("\\", "/")).name) or "upload"


def one_line(text: str) -> str:
    """A client's text made fit for one line of a message: no control characters, not long."""
    return "".join(character for character in text if character.isprintable()).strip()[:NAME_LENGTH]


def _body(request: Request) -> tuple[bytes, str]:
    content = request.get_data(cache=False)
    if not content:
        raise BadRequest("the body is empty; send one image, with curl: -F file=@chest.png")
    return content, clean_name(None)


def _from_form(request: Request, gallery: Gallery) -> tuple[bytes, str]:
    uploads, keys = request.files.getlist("file"), request.form.getlist("sample")
    if "file" in request.form:
        raise BadRequest("file: expected a file, got text; with curl put an @ before its name: -F file=@chest.png")
    if len(uploads) + len(keys) != 1:
        raise BadRequest("send one image as the multipart field 'file', for example: curl -F file=@chest.png")
    if not uploads:
        sample = gallery.get(keys[0])
        if sample is None:
            known = ", ".join(known.key for known in gallery.samples) or "none"
            raise NotFound(f"no sample '{one_line(keys[0])}' (known: {known})")
        return gallery.content(sample), sample.path.name
    content, name = uploads[0].read(), clean_name(uploads[0].filename)
    if not content:
        raise BadRequest(f"{name}: the file is empty (0 bytes); choose a PNG, JPEG or DICOM file")
    return content, name
