"""NIH boxes and labels to tables: `python -m data_prep.nih configs/data/nih.yaml [--missing drop ...]`."""

from collections.abc import Sequence

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.cli.progress import table
from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.data import NihConfig
from xray_chest_detection.core.manifest import Manifest, hash_inputs, versions_of, write_manifest
from xray_chest_detection.data.nih import read_nih
from xray_chest_detection.data.nih_tables import table_files
from xray_chest_detection.data.tables import ANNOTATIONS_FILE, IMAGES_FILE, write_tables


def main(argv: Sequence[str] | None = None) -> None:
    """Read the NIH tables, choose the background, write `images.csv`, `annotations.csv` and the manifest.

    It always reads everything: that takes seconds, and only so is a change among the image files noticed.
    """
    config = from_command_line(NihConfig, argv, prog="python -m data_prep.nih", description=__doc__ or "")
    tables = read_nih(config)
    write_tables(config.out, tables.images, tables.annotations)
    write_manifest(
        config.out,
        Manifest(
            step="data_prep.nih",
            config=config.model_dump(mode="json", exclude={"root", "out"}),
            inputs=hash_inputs(*table_files(config.resolved_root())),
            outputs=hash_inputs(config.out / IMAGES_FILE, config.out / ANNOTATIONS_FILE),
            counts=tables.counts,
            seed=config.seed,
            versions=versions_of("pandas"),
        ),
    )
    print(table([{"counted": name, "value": value} for name, value in tables.counts.items()]))
    print(f"wrote {config.out}")


if __name__ == "__main__":
    with exit_on_error():
        main()
