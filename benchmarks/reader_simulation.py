"""Consensus rules against the truth: `python -m benchmarks.reader_simulation [--images 1000 --seeds 5 --out FILE.png]`.

Simulated readers with different habits read films whose findings are known. Every rule merges the same readings; the
table and the figure say how near each comes. It says where `em` does not win, too.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from xray_chest_detection.cli.progress import table
from xray_chest_detection.data.consensus_trials import margins, run_trials, summarise
from xray_chest_detection.report.consensus_figures import draw_rules

EM = "em"


def main(argv: Sequence[str] | None = None) -> None:
    """Run every rule in every scenario with several seeds, print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000, help="films per scenario and seed")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, from 0")
    parser.add_argument("--out", type=Path, default=Path("readme_images/consensus_simulation.png"))
    options = parser.parse_args(argv)
    trials = run_trials(range(options.seeds), n_images=options.images)
    rows = summarise(trials)
    print(table([vars(row) for row in rows]))
    print(f"\n{EM} against the best other rule, F1, same readings:")
    for scenario, (other, mean, spread) in margins(trials, EM).items():
        verdict = "wins" if mean > spread else "loses" if mean < -spread else "ties"
        print(f"  {scenario}: {verdict}, {mean:+.4f} ± {spread:.4f} against {other}")
    print(draw_rules(rows, options.out, n_images=options.images, n_seeds=options.seeds))


if __name__ == "__main__":
    main()
