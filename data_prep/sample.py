"""Draw the synthetic data set: `python -m data_prep.sample OUT [CONFIG.yaml] [--patients 60 --seed 0 ...]`."""

import sys
from collections.abc import Sequence

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.config.sample import sample_from_command_line
from xray_chest_detection.data.synthetic import write_dataset
from xray_chest_detection.data.synthetic.figure import write_contact_sheet, write_examples


def main(argv: Sequence[str] | None = None) -> None:
    """Write what the configuration asks for and say what was written."""
    with exit_on_error():
        config = sample_from_command_line(sys.argv[1:] if argv is None else argv)
        if config.out is not None:
            counts = write_dataset(config, config.out).counts
            for name, of_format in counts.items():
                print(f"{config.out / name}: " + ", ".join(f"{count} {what}" for what, count in of_format.items()))
        if config.figure is not None:
            write_contact_sheet(config.figure, seed=config.seed)
            print(config.figure)
        if config.examples is not None:
            for path in write_examples(config.examples, seed=config.seed):
                print(path)


if __name__ == "__main__":
    main()
