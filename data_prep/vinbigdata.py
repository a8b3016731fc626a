"""VinBigData's readings to tables: `python -m data_prep.vinbigdata configs/data/vinbigdata.yaml [--copies DIR ...]`."""

from collections.abc import Sequence

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.cli.progress import bar, table
from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.vinbigdata import VinBigDataConfig
from xray_chest_detection.core.manifest import Manifest, hash_inputs, versions_of, write_manifest
from xray_chest_detection.data.tables import ANNOTATIONS_FILE, IMAGES_FILE, write_tables
from xray_chest_detection.data.vinbigdata import read_vinbigdata

MAX_UNUSUAL_SHOWN = 10
MAX_CUT_SHOWN = 5


def main(argv: Sequence[str] | None = None) -> None:
    """Read the table, choose the background, write `images.csv`, `annotations.csv` and the manifest."""
    config = from_command_line(VinBigDataConfig, argv, prog="python -m data_prep.vinbigdata", description=__doc__ or "")
    tables = read_vinbigdata(config, progress=bar)
    write_tables(config.out, tables.images, tables.annotations)
    write_manifest(
        config.out,
        Manifest(
            step="data_prep.vinbigdata",
            config=config.model_dump(mode="json", exclude={"root", "out", "copies", "train_meta"}),
            inputs=hash_inputs(*tables.inputs),
            outputs=hash_inputs(config.out / IMAGES_FILE, config.out / ANNOTATIONS_FILE),
            counts=tables.counts,
            seed=config.seed,
            versions=versions_of("pandas"),
        ),
    )
    print(table([{"counted": name, "value": value} for name, value in tables.counts.items()]))
    if len(tables.unusual):
        print(f"\nwarning: {len(tables.unusual)} images are not read by three")
        print(table(tables.unusual[:MAX_UNUSUAL_SHOWN]))
    if len(tables.cut):
        print(f"\nwarning: {len(tables.cut)} boxes are cut at the border of their image")
        print(table(tables.cut[:MAX_CUT_SHOWN]))
    print(f"wrote {config.out}")


if __name__ == "__main__":
    with exit_on_error():
        main()
