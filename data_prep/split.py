"""Split the images of one source by patient: `python -m data_prep.split configs/data/split.yaml [--seed 1 ...]`."""

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.cli.progress import table
from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.data import SPLITS, SplitConfig
from xray_chest_detection.core.manifest import Manifest, hash_inputs, versions_of, write_manifest
from xray_chest_detection.data.splits import SPLIT_FILE, make_split, split_counts, write_split
from xray_chest_detection.data.tables import ANNOTATIONS_FILE, read_tables


def main() -> None:
    """Make the split and write `split.csv` and its manifest."""
    config = from_command_line(SplitConfig, prog="python -m data_prep.split", description=__doc__)
    images, annotations = read_tables(config.tables)
    split = make_split(images, annotations, config)
    write_split(config.out, split)
    counts = split_counts(split, annotations)
    write_manifest(
        config.out,
        Manifest(
            step="data_prep.split",
            config=config.model_dump(mode="json"),
            inputs=hash_inputs(config.tables / ANNOTATIONS_FILE),
            outputs=hash_inputs(config.out / SPLIT_FILE),
            counts=counts,
            seed=config.seed,
            versions=versions_of("pandas", "iterative-stratification"),
        ),
    )
    print(table([{"split": name, **counts[name]} for name in SPLITS]))
    print(f"wrote {config.out / SPLIT_FILE}")


if __name__ == "__main__":
    with exit_on_error():
        main()
