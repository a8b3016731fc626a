"""NIH boxes and labels to tables: `python -m data_prep.nih configs/data/nih.yaml [--missing drop ...]`."""

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.cli.progress import table
from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.data import NihConfig
from xray_chest_detection.core.manifest import Manifest, hash_inputs, versions_of, write_manifest
from xray_chest_detection.data.nih import read_nih, table_files
from xray_chest_detection.data.tables import write_tables


def main() -> None:
    """Read the NIH tables, choose the background, write `images.csv`, `annotations.csv` and the manifest."""
    config = from_command_line(NihConfig, prog="python -m data_prep.nih", description=__doc__)
    tables = read_nih(config)
    write_tables(config.out, tables.images, tables.annotations)
    write_manifest(
        config.out,
        Manifest(
            step="data_prep.nih",
            config=config.model_dump(mode="json", exclude={"root"}),
            inputs=hash_inputs(*table_files(config.resolved_root())),
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
