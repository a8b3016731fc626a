"""Split images by patient, source by source: `python -m data_prep.split configs/data/split.yaml [--seed 1 ...]`."""

from collections.abc import Sequence

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.cli.progress import table
from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.data import SPLITS, SplitConfig
from xray_chest_detection.core.manifest import Manifest, hash_inputs, is_up_to_date, versions_of, write_manifest
from xray_chest_detection.data.splits import (
    SPLIT_FILE,
    check_may_replace,
    make_split,
    read_split,
    split_counts,
    split_inputs,
    write_split,
)
from xray_chest_detection.data.tables import read_tables


def main(argv: Sequence[str] | None = None) -> None:
    """Make the split and write `split.csv` and its manifest; stop early when they are up to date."""
    config = from_command_line(SplitConfig, argv, prog="python -m data_prep.split", description=__doc__ or "")
    images, annotations = read_tables(config.tables)
    plan = Manifest(
        step="data_prep.split",
        config=config.model_dump(mode="json", include={"train", "val", "test"}),
        inputs=split_inputs(config, images),
        seed=config.seed,
        versions=versions_of("pandas", "iterative-stratification"),
    )
    if is_up_to_date(config.out, plan):
        split = read_split(config.out)
        print(f"{config.out / SPLIT_FILE} is up to date")
    else:
        kept = None if config.keep is None else read_split(config.keep)
        split = make_split(images, annotations, config, kept=kept)
        if not config.overwrite:
            check_may_replace(config.out, split)
        write_split(config.out, split)
        outputs = hash_inputs(config.out / SPLIT_FILE)
        counts = split_counts(split, annotations)
        write_manifest(config.out, plan.model_copy(update={"outputs": outputs, "counts": counts}))
        print(f"wrote {config.out / SPLIT_FILE}")
    for source, part in split.groupby("source"):
        counts = split_counts(part, annotations)
        print(table([{"source": source, "split": name, **counts[name]} for name in SPLITS]))


if __name__ == "__main__":
    with exit_on_error():
        main()
