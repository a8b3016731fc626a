"""Films of every kind that a deployment must read, the largest allowed ones among them. All are drawings."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

_DICOM_SHARE = 0.9  # of the largest upload, so that the header and the form around it fit in
_USUAL_PX = 2000


@dataclass(frozen=True)
class Film:
    """A film as a client sends it: a name for people, content and content type."""

    name: str
    content: bytes
    kind: str


def films(*, max_pixels: int, max_bytes: int) -> tuple[Film, ...]:
    """A usual PNG, JPEG and DICOM film, then the largest grey PNG, the largest colour JPEG and the largest plain DICOM.

    Args:
        max_pixels: Largest film in 8-bit grey; the decoder allows half as many in colour.
        max_bytes: Largest upload.
    """
    usual, largest = _drawing(_USUAL_PX), _drawing(int(max_pixels**0.5))
    colour = Image.fromarray(_drawing(int((max_pixels / 2) ** 0.5))).convert("RGB")
    deep = _drawing(int((_DICOM_SHARE * min(max_bytes / 2, max_pixels / 2)) ** 0.5))
    return (
        _film("PNG", Image.fromarray(usual), "PNG"),
        _film("JPEG", Image.fromarray(usual), "JPEG"),
        Film("DICOM", _dicom(usual), "application/dicom"),
        _film("largest PNG", Image.fromarray(largest), "PNG"),
        _film("largest colour JPEG", colour, "JPEG"),
        Film("largest DICOM", _dicom(deep), "application/dicom"),
    )


def _drawing(side_px: int) -> NDArray[np.uint8]:
    """Two dark fields on a bright ground, `(side_px, side_px)`."""
    y, x = np.ogrid[-1 : 1 : side_px * 1j, -1 : 1 : side_px * 1j]
    lungs = np.maximum(np.exp(-8 * (x - 0.45) ** 2 - 3 * y**2), np.exp(-8 * (x + 0.45) ** 2 - 3 * y**2))
    return np.asarray(230 - 180 * lungs).astype(np.uint8)


def _film(name: str, picture: Image.Image, form: str) -> Film:
    stream = io.BytesIO()
    picture.save(stream, form, **({"compress_level": 1} if form == "PNG" else {}))
    return Film(name, stream.getvalue(), f"image/{form.lower()}")


def _dicom(pixels: NDArray[np.uint8]) -> bytes:
    """12 bits in 16, MONOCHROME1, not compressed."""
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID = DigitalXRayImageStorageForPresentation
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID = generate_uid()
    film.Modality, film.ViewPosition = "DX", "PA"
    film.Rows, film.Columns = pixels.shape
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME1"
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 11, 0
    film.PixelData = (4095 - pixels.astype(np.uint16) * 16).tobytes()
    stream = io.BytesIO()
    film.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
