"""Writes the synthetic data set: both public formats and a manifest under one folder."""

from collections import Counter
from pathlib import Path

from tqdm import tqdm

from xray_chest_detection.config.sample import SampleConfig
from xray_chest_detection.core.files import write_text
from xray_chest_detection.core.manifest import FILE_NAME, Manifest, hash_inputs, versions_of, write_manifest
from xray_chest_detection.data.folders import new_folder
from xray_chest_detection.data.synthetic import nih_format, vinbigdata_format
from xray_chest_detection.errors import DataError

MARKER_NAME = "SYNTHETIC.txt"
_MARKER = (
    "Synthetic radiographs drawn by a program; they show no person. `--overwrite` replaces everything in this folder.\n"
)
_OURS = ("nih", "vinbigdata", FILE_NAME, MARKER_NAME)


def write_dataset(config: SampleConfig, out: Path) -> Manifest:
    """Draw the data set and write it under `out`: `nih/`, `vinbigdata/`, and last of all the manifest.

    The folder appears when it is complete and replaces an older set; an interrupted run leaves what was there before.
    The same configuration gives the same pixels and tables.

    Raises:
        DataError: `out` is not empty and must not be overwritten, or cannot be written.
    """
    _check_may_replace(out, overwrite=config.overwrite)
    with new_folder(out, marker=MARKER_NAME) as folder:
        return _write_all(config, folder)


def _write_all(config: SampleConfig, out: Path) -> Manifest:
    write_text(out / MARKER_NAME, _MARKER)
    counts = {"nih": _write_nih(config, out / "nih"), "vinbigdata": _write_vinbigdata(config, out / "vinbigdata")}
    tables = ("nih/BBox_List_2017.csv", "nih/Data_Entry_2017.csv", "vinbigdata/train.csv", "vinbigdata/truth.csv")
    manifest = Manifest(
        step="data_prep.sample",
        config=config.model_dump(mode="json", exclude={"out", "overwrite", "figure", "examples"}),
        outputs={name: hash_inputs(out / name)[Path(name).name] for name in tables},
        counts=counts,
        seed=config.seed,
        versions=versions_of("numpy", "opencv-python", "pillow", "pydicom"),
    )
    write_manifest(out, manifest)
    return manifest


def _check_may_replace(out: Path, *, overwrite: bool) -> None:
    """Only what carries this step's marker is replaced: `out` may hold somebody's real data."""
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: is a file; give a folder for the synthetic data set")
    if not out.exists() or not any(out.iterdir()):
        return
    if not overwrite:
        raise DataError(f"{out}: folder is not empty; give an empty one, or add --overwrite to replace a synthetic set")
    strangers = sorted(path.name for path in out.iterdir() if path.name not in _OURS)
    if strangers or not (out / MARKER_NAME).is_file():
        found = strangers[0] if strangers else f"no {MARKER_NAME}"
        raise DataError(
            f"{out}: not a synthetic data set (found {found}), so it is not overwritten; give an empty folder"
        )


def _write_nih(config: SampleConfig, folder: Path) -> dict[str, int]:
    visits = nih_format.plan_visits(
        config.seed,
        n_patients=config.patients,
        max_visits=config.max_visits,
        healthy_share=config.healthy_share,
        unboxed_share=config.unboxed_share,
    )
    boxes: list[str] = []
    entries: list[str] = []
    for visit in tqdm(visits, desc="NIH format", unit="image", disable=None):
        image = nih_format.render_visit(visit, config.size_px)
        nih_format.write_png(folder / nih_format.IMAGE_FOLDER / visit.name, image)
        boxes.extend(nih_format.box_rows(visit, image))
        entries.append(nih_format.entry_row(visit, image))
    nih_format.write_tables(folder, boxes, entries)
    healthy = sum(",No Finding," in row for row in entries)
    per_class = Counter(row.split(",")[1] for row in boxes)
    counts = {"patients": config.patients, "images": len(visits), "finding_free_images": healthy, "boxes": len(boxes)}
    return counts | {f"boxes_{name}": per_class[name] for name in sorted(per_class)}


def _write_vinbigdata(config: SampleConfig, folder: Path) -> dict[str, int]:
    studies = vinbigdata_format.plan_studies(
        config.seed, n_images=config.vinbigdata_images, healthy_share=config.healthy_share
    )
    readings: list[str] = []
    truths: list[str] = []
    for study in tqdm(studies, desc="VinBigData format", unit="image", disable=None):
        image = vinbigdata_format.render_study(study, config.size_px)
        vinbigdata_format.write_dicom(folder / "train" / f"{study.image_id}.dicom", study, image)
        rows, true_rows = vinbigdata_format.reading_rows(study, image)
        readings.extend(rows)
        truths.extend(true_rows)
    vinbigdata_format.write_tables(folder, readings, truths)
    drawn = sum(",No finding," not in row for row in readings)
    return {"images": len(studies), "rows": len(readings), "reader_boxes": drawn, "true_boxes": len(truths)}
