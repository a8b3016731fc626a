"""Join the tables of several sources: `python -m data_prep.unite configs/data/unite.yaml [--consensus.rule em ...]`."""

from collections.abc import Sequence

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.cli.progress import table
from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.schemes import read_scheme
from xray_chest_detection.config.unite import UniteConfig
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import Manifest, hash_inputs, versions_of, write_manifest
from xray_chest_detection.data.tables import ANNOTATIONS_FILE, IMAGES_FILE, read_tables, write_tables
from xray_chest_detection.data.unite import SourceTables, unite


def main(argv: Sequence[str] | None = None) -> None:
    """Write `images.csv`, `annotations.csv` and the manifest, and print what became of every class's boxes."""
    config = from_command_line(UniteConfig, argv, prog="python -m data_prep.unite", description=__doc__ or "")
    sources = [SourceTables(folder, *read_tables(folder)) for folder in config.sources]
    united = unite(sources, read_scheme(config.scheme), config)
    write_tables(config.out, united.images, united.annotations)
    files = [folder / name for folder in config.sources for name in (IMAGES_FILE, ANNOTATIONS_FILE)]
    write_manifest(
        config.out,
        Manifest(
            step="data_prep.unite",
            config=config.model_dump(mode="json", exclude={"out"}),
            inputs={path.as_posix(): sha256_of(path) for path in files} | hash_inputs(config.scheme),
            outputs=hash_inputs(config.out / IMAGES_FILE, config.out / ANNOTATIONS_FILE),
            counts={"images": united.image_counts, "boxes": united.box_counts},
            seed=config.seed,
            versions=versions_of("pandas"),
        ),
    )
    print(table(united.image_counts), table(united.box_counts), sep="\n\n")
    print(f"wrote {config.out}")


if __name__ == "__main__":
    with exit_on_error():
        main()
