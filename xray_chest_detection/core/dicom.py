"""DICOM radiographs to 8-bit grey: modality LUT, then VOI LUT or window, then MONOCHROME1 inversion.

Source: DICOM PS3.3 C.7.6.3.1.2 (photometric interpretation), C.11.1 (modality LUT), C.11.2 (VOI LUT and window).
"""

import re
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing, pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from xray_chest_detection.core.dicom_bounds import (
    BoundedReader,
    check_codestream,
    check_fragments,
    check_run_lengths,
    ends_early,
)
from xray_chest_detection.core.radiograph import (
    MAX_PIXELS,
    PERCENTILES,
    Radiograph,
    check_size,
    reason,
    row_blocks,
    to_8_bit,
)
from xray_chest_detection.errors import ImageError

RADIOGRAPHY = ("CR", "DX", "RG", "DR", "RF", "XA", "PX", "OT", "SC")
_GREY = ("MONOCHROME1", "MONOCHROME2")
_MAX_VALUES = 1 << 20  # distinct pixel values a lookup table is built for
_MIN_SHOWN = 0.02  # share of pixels strictly inside a window, below which the window cannot be meant
_COST, _COMPRESSED_COST = 2, 3  # peak memory of decoding one pixel, in pixels of 8-bit grey
_CODESTREAMS = {*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes}
# Nothing else is read: not who the patient is, nor tables that place frames where the checks would not look for them.
_ELEMENTS = [
    *("SOPClassUID", "Modality", "ViewPosition", "ImageLaterality", "Laterality"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "PixelData"),
]
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")


class GreyImage(NamedTuple):
    """Grey values `(H, W)` uint8 with bone bright, and what was done to get them."""

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...]


def decode_dicom(content: bytes, *, name: str, max_pixels: int = MAX_PIXELS) -> Radiograph:
    """Decode a DICOM file. Nothing but the pixels, the view and the laterality is taken from it.

    Raises:
        ImageError: Not DICOM, damaged, no pixel data, colour, several frames, too large, or compressed in a way that
            cannot be decoded.
    """
    dataset = _read_dataset(content, name=name)
    grey = to_grey8(dataset, name=name, max_pixels=max_pixels)
    laterality = _code(dataset, "ImageLaterality") or _code(dataset, "Laterality")
    return Radiograph(grey.pixels, name, "DICOM", _code(dataset, "ViewPosition"), laterality, grey.notes)


def to_grey8(dataset: Dataset, *, name: str = "DICOM", max_pixels: int = MAX_PIXELS) -> GreyImage:
    """8-bit grey of a dataset read by pydicom.

    Without a usable window, images of at most 8 bits are taken as they are, deeper ones are scaled from their 0.5th to
    their 99.5th percentile, pixel padding left out.

    Args:
        dataset: A pydicom `Dataset` with its file meta information.
        name: File name for messages.
        max_pixels: Larger images are refused before they are decoded.

    Raises:
        ImageError: See `decode_dicom`.
    """
    try:
        return _to_grey8(dataset, name=name, max_pixels=max_pixels)
    except ImageError:
        raise
    except Exception as error:  # elements are parsed when they are read, and a damaged one raises anything
        raise ImageError(f"{name}: damaged DICOM header ({reason(error)}); copy or export it again") from None


def _to_grey8(dataset: Dataset, *, name: str, max_pixels: int) -> GreyImage:
    _check_header(dataset, name=name, max_pixels=max_pixels)
    stored = _stored_values(dataset, name=name)
    low, high = int(stored.min()), int(stored.max())
    if high - low >= _MAX_VALUES:
        raise ImageError(f"{name}: pixel values from {low} to {high} are no radiograph; export it with at most 16 bits")
    inputs = np.arange(low, high + 1, dtype=np.int64)
    blocks = row_blocks(stored.shape)  # an index takes 8 bytes a pixel
    counts = np.zeros(len(inputs), np.int64)
    for rows in blocks:
        counts += np.bincount(_offsets(stored[rows], low).ravel(), minlength=len(inputs))
    unit, notes = _display_values(dataset, inputs, counts)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        unit, notes = 1 - unit, (*notes, "MONOCHROME1 inverted")
    modality = _code(dataset, "Modality")
    if modality and modality not in RADIOGRAPHY:
        notes = (*notes, f"modality {modality} is not radiography")
    shown, pixels = to_8_bit(unit), np.empty(stored.shape, np.uint8)
    for rows in blocks:
        pixels[rows] = shown[_offsets(stored[rows], low)]
    return GreyImage(pixels, notes)


def _offsets(stored: NDArray[Any], low: int) -> NDArray[np.int64]:
    return stored.astype(np.int64) - low


def _read_dataset(content: bytes, *, name: str) -> Dataset:
    if DeflatedExplicitVRLittleEndian.encode() in content:  # a small file could unpack to any size
        raise ImageError(f"{name}: deflated DICOM is not read; rewrite it uncompressed, for example with dcmconv +te")
    try:
        dataset = pydicom.dcmread(BoundedReader(content, name=name), force=True, specific_tags=_ELEMENTS)
        known = len(dataset) > 0 and any(tag in dataset for tag in ("SOPClassUID", "Modality", "Rows"))
    except ImageError:
        raise
    except Exception as error:  # pydicom raises anything on damaged data
        raise ImageError(f"{name}: damaged DICOM file ({reason(error)}); copy or export it again") from None
    if not known:
        raise ImageError(f"{name}: damaged or truncated DICOM file; copy or export it again")
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit = bool(dataset.original_encoding[0])
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return dataset


def _check_header(dataset: Dataset, *, name: str, max_pixels: int) -> None:
    """Refuse, before any pixel is decoded, what is no single grey image of reasonable size."""
    if "PixelData" not in dataset:
        raise ImageError(f"{name}: DICOM file without pixel data; export the image itself, not a report or a reference")
    rows, columns, frames = int(dataset.Rows), int(dataset.Columns), int(dataset.get("NumberOfFrames") or 1)
    photometric, samples = str(dataset.PhotometricInterpretation), int(dataset.get("SamplesPerPixel") or 1)
    if photometric not in _GREY or samples != 1:
        found = _code(dataset, "PhotometricInterpretation") or "unknown"
        raise ImageError(f"{name}: colour DICOM ({found}) is not a radiograph; export the grey original")
    if frames != 1:
        raise ImageError(f"{name}: DICOM file with {frames} frames; export one frame as a file of its own")
    cost = _COMPRESSED_COST if dataset["PixelData"].is_undefined_length else _COST
    check_size(columns, rows, name=name, max_pixels=max_pixels, cost=cost, mode="DICOM")


def _stored_values(dataset: Dataset, *, name: str) -> NDArray[Any]:
    """Stored pixel values `(H, W)`, signed or unsigned integers."""
    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    if syntax.is_transfer_syntax and syntax.is_encapsulated:
        _check_frame(dataset, syntax, name=name)
    try:
        stored = np.asarray(pixel_array(dataset))
    except Exception as error:  # every decoder has errors of its own
        if not (syntax.is_transfer_syntax and syntax.is_compressed):
            raise ImageError(f"{name}: damaged DICOM pixel data ({reason(error)}); copy or export it again") from None
        raise ImageError(
            f"{name}: DICOM compressed as {syntax.name} cannot be decoded ({reason(error)}); "
            "rewrite it uncompressed, for example with gdcmconv --raw"
        ) from None
    if stored.ndim != 2:
        raise ImageError(f"{name}: DICOM pixel data of shape {stored.shape} is not one grey image; export one frame")
    return stored


def _check_frame(dataset: Dataset, syntax: UID, *, name: str) -> None:
    """Refuse compressed pixel data whose decoding would not give the image of the header."""
    check_fragments(dataset.PixelData, name=name)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if syntax == RLELossless:
        check_run_lengths(frame, segment_bytes=rows * columns, name=name)
    elif syntax in _CODESTREAMS:
        check_codestream(frame, rows=rows, columns=columns, name=name)
        if ends_early(frame):
            raise ImageError(f"{name}: DICOM compressed as {syntax.name} ends too early; copy or export it again")


def _display_values(
    dataset: Dataset, inputs: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Brightness in [0, 1] for every stored value `(V,)`, before inversion, and what was done.

    Every step works on single values, so it is done once per value instead of once per pixel.
    """
    try:
        values = np.asarray(apply_modality_lut(inputs, dataset))
    except Exception:  # a broken modality LUT: the stored values are the best guess
        values = inputs
    if not np.isfinite(values).all() or values.min() == values.max():  # a slope of 0
        values = inputs
    for method in (_voi_lut, _window):
        try:
            with np.errstate(all="ignore"):
                unit = method(dataset, values)
        except Exception:  # an absurd table or window must not cost the image
            continue
        if unit is not None and _shows_something(unit, counts):
            return unit, ()
    if values is inputs and inputs[0] >= 0 and inputs[-1] <= 255 and int(dataset.BitsStored) <= 8:
        return inputs / 255, ()
    return _percentiles(dataset, values, inputs, counts), ("no usable window: grey scaled by percentiles",)


def _voi_lut(dataset: Dataset, values: NDArray[Any]) -> NDArray[np.float64] | None:
    """Brightness by the VOI LUT, relative to its largest entry: some tables of 16 bits hold 12."""
    if not dataset.get("VOILUTSequence"):
        return None
    entries, first, _ = dataset.VOILUTSequence[0].LUTDescriptor
    whole = apply_voi(np.arange(first, first + (entries or 1 << 16), dtype=np.int64), dataset)
    low, high = int(whole.min()), int(whole.max())
    if high <= low:
        return None
    rounded = np.clip(np.rint(values), first, first + len(whole) - 1).astype(np.int64)
    return np.asarray((apply_voi(rounded, dataset).astype(np.float64) - low) / (high - low))


def _window(dataset: Dataset, values: NDArray[Any]) -> NDArray[np.float64] | None:
    """Brightness by the first window; pydicom refuses widths that are too small."""
    if dataset.get("WindowCenter") is None or dataset.get("WindowWidth") is None:
        return None
    # Two values far outside tell the output range, which pydicom derives from the header.
    shown = apply_windowing(np.concatenate([values, [-1e12, 1e12]]), dataset)
    low, high = shown[-2:]
    return np.asarray((shown[:-2] - low) / (high - low))


def _shows_something(unit: NDArray[np.float64], counts: NDArray[np.int64]) -> bool:
    """Whether enough pixels lie inside the window; a window beside the data gives a black or white image."""
    inside = (unit > 0.01) & (unit < 0.99)
    return bool(np.isfinite(unit).all() and counts[inside].sum() >= _MIN_SHOWN * counts.sum())


def _percentiles(
    dataset: Dataset, values: NDArray[Any], inputs: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Brightness from the distribution of the pixels that are not padding (PS3.3 C.7.5.1.1.2)."""
    weights = np.where(_is_padding(dataset, inputs), 0, counts)
    if not weights.any():
        weights = counts
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum() * 100
    low, high = (float(values[order][np.searchsorted(share, percentile)]) for percentile in PERCENTILES)
    if high <= low:
        used = values[weights > 0]
        low, high = float(used.min()), float(used.max())
    return np.zeros(len(values)) if high <= low else np.clip((values - low) / (high - low), 0, 1)


def _is_padding(dataset: Dataset, inputs: NDArray[np.int64]) -> NDArray[np.bool_]:
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if not isinstance(value, int):
        return np.zeros(len(inputs), np.bool_)
    ends = sorted((value, limit if isinstance(limit, int) else value))
    return (inputs >= ends[0]) & (inputs <= ends[1])


def _code(dataset: Dataset, keyword: str) -> str | None:
    """A coded value; anything that does not look like a code is withheld, as it might identify a person."""
    try:
        text = str(dataset.get(keyword) or "").strip().upper()
    except Exception:
        return None
    return text if _CODE.fullmatch(text) else None
