"""From a request to a film and the wishes that came with it."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from flask import Request
from werkzeug.exceptions import BadRequest, NotFound

from xray_chest_detection.core.images import Radiograph, decode_image
from xray_chest_detection.web.gallery import Gallery

FORMATS = ("json", "png")
NAME_LENGTH = 80


@dataclass(frozen=True)
class Film:
    """A film as it came and as it was read."""

    content: bytes
    radiograph: Radiograph


def film_of(request: Request, gallery: Gallery, *, max_pixels: int) -> Film:
    """The film of a request: the uploaded `file`, or the `sample` it names.

    Raises:
        BadRequest: There is neither, or both, or the file is empty.
        NotFound: There is no such sample.
        ImageError: The bytes are not an image that can be read.
    """
    upload, key = request.files.get("file"), request.form.get("sample")
    if (upload is None) == (key is None):
        raise BadRequest("send one image as the multipart field 'file', for example: curl -F file=@chest.png")
    if upload is not None:
        content, name = upload.read(), clean_name(upload.filename)
        if not content:
            raise BadRequest(f"{name}: the file is empty (0 bytes); choose a PNG, JPEG or DICOM file")
    else:
        sample = gallery.get(str(key))
        if sample is None:
            known = ", ".join(known.key for known in gallery.samples) or "none"
            raise NotFound(f"no sample '{clean_name(key)}' (known: {known})")
        content, name = gallery.content(sample), sample.path.name
    return Film(content, decode_image(content, name=name, max_pixels=max_pixels))


def models_of(request: Request, known: tuple[str, ...]) -> tuple[str, ...]:
    """The models a request asks for (`models=multi,binary`, also repeated), in the order of the panels; all by default.

    Raises:
        BadRequest: One of them does not exist.
    """
    wished = [name.strip() for value in request.values.getlist("models") for name in value.split(",") if name.strip()]
    unknown = [name for name in wished if name not in known]
    if unknown:
        raise BadRequest(f"models: unknown model '{clean_name(unknown[0])}' (known: {', '.join(known)})")
    return tuple(name for name in known if name in wished) if wished else known


def conf_of(request: Request) -> float | None:
    """The score threshold a request asks for; None is each model's own.

    Raises:
        BadRequest: It is not a number in [0, 1].
    """
    text = request.values.get("conf", "").strip()
    if not text:
        return None
    try:
        conf = float(text)
    except ValueError:
        conf = float("nan")
    if not 0 <= conf <= 1:
        raise BadRequest(f"conf: expected a number from 0 to 1, got '{clean_name(text)}'")
    return conf


def format_of(request: Request) -> str:
    """The form of the answer, `json` by default.

    Raises:
        BadRequest: There is no such form.
    """
    wished = request.values.get("format", "json")
    if wished not in FORMATS:
        raise BadRequest(f"format: expected one of {', '.join(FORMATS)}, got '{clean_name(wished)}'")
    return wished


def clean_name(name: str | None) -> str:
    r"""A client's text made fit for one line of a message: no folders, no control characters, not long.

    >>> clean_name("C:\\films\\chest\n.png")
    'chest.png'
    """
    last = PurePosixPath((name or "").replace("\\", "/")).name
    printable = "".join(character for character in last if character.isprintable()).strip()
    return printable[:NAME_LENGTH] or "upload"
