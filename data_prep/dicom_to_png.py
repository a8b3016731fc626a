"""DICOM files to 8-bit PNG: `python -m data_prep.dicom_to_png configs/data/dicom_to_png.yaml --root DIR --out DIR`."""

from collections.abc import Sequence
from functools import partial

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.cli.progress import bar, table
from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.dicom_to_png import DicomToPngConfig
from xray_chest_detection.core.manifest import Manifest, hash_inputs, versions_of, write_manifest
from xray_chest_detection.data.dicom_folder import convert_folder
from xray_chest_detection.data.image_sizes import META_FILE


def main(argv: Sequence[str] | None = None) -> int:
    """Convert what is not converted yet, write `train_meta.csv` and the manifest; 1 when a file could not be read."""
    config = from_command_line(
        DicomToPngConfig, argv, prog="python -m data_prep.dicom_to_png", description=__doc__ or ""
    )
    done = convert_folder(config, progress=partial(bar, title="images"))
    write_manifest(
        config.out,
        Manifest(
            step="data_prep.dicom_to_png",
            config=config.model_dump(mode="json", include={"longest_side_px", "clahe_clip_limit"}),
            outputs=hash_inputs(config.out / META_FILE),
            counts=done.counts(),
            versions=versions_of("numpy", "opencv-python", "pillow", "pydicom"),
        ),
    )
    print(table([{"counted": name, "value": value} for name, value in done.counts().items()]))
    print(f"{config.out}: {done.converted} images written, {len(done.records) - done.converted} were there already")
    if done.taken_up_again:
        print(f"a worker process was killed; the {done.taken_up_again} files it had in work were taken up again alone")
    if done.failures:
        print(f"\n{table([{'not converted': name, 'reason': reason} for name, reason in done.failures.items()])}")
    return 1 if done.failures else 0


if __name__ == "__main__":
    with exit_on_error():
        raise SystemExit(main())
