"""Films schemathesis may send, loaded by its command line: an OpenAPI document can only say that a film is bytes."""

import io

import numpy as np
import schemathesis
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

KINDS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/tiff": "TIFF", "image/webp": "WEBP", "image/bmp": "BMP"}


def picture(kind: str, grey: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((64, 48), grey, np.uint8)).save(stream, kind)
    return stream.getvalue()


def dicom(grey: int) -> bytes:
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID, film.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    film.Rows, film.Columns, film.SamplesPerPixel, film.PhotometricInterpretation = 64, 48, 1, "MONOCHROME2"
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 8, 8, 7, 0
    film.PixelData = bytes([grey]) * (64 * 48)
    stream = io.BytesIO()
    film.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


greys = st.integers(0, 255)
for media_type, kind in KINDS.items():
    schemathesis.openapi.media_type(media_type, greys.map(lambda grey, kind=kind: picture(kind, grey)))
schemathesis.openapi.media_type("application/dicom", greys.map(dicom))
schemathesis.openapi.media_type("application/octet-stream", greys.map(lambda grey: picture("PNG", grey)))
