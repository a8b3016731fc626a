"""`xray filter-normals RUN`: weaken a run's marks on images that look normal, and measure whether that helps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xray_chest_detection.cli.progress import bar
from xray_chest_detection.detect.runs import open_trained_run
from xray_chest_detection.errors import DataError, UsageError


@dataclass(frozen=True)
class Options:
    """Choose a finding-free filter on val and measure it on test; of a cross-validation, each fold on the others.

    Attributes:
        run: Run folder with thresholds, or the folder of a finished cross-validation.
        scores: Table `image_id,score` of a classifier: how abnormal each image is, in [0, 1]. Without it the detector's
            own marks say so.
        objective: What is maximised: `mAP40`, or `sensitivity` at one false positive per image and IoU 0.4.
        resamples: Resamples of the patients behind the intervals of the differences; 0 leaves them out.
        device: Torch device for the forward pass, if one is needed; chosen when not given.
    """

    run: Annotated[Path, tyro.conf.Positional]
    scores: Path | None = None
    objective: Literal["mAP40", "sensitivity"] = "mAP40"
    resamples: int = 2000
    device: str | None = None


def main(argv: Sequence[str]) -> int:
    """Write `normal_filter.yaml` and its effect as JSON and Markdown into the folder, and print the effect."""
    options = tyro.cli(Options, args=list(argv), prog="xray filter-normals")
    if options.resamples < 0:
        raise UsageError(f"--resamples: {options.resamples} is less than 0")
    return _cross_validated(options) if (options.run / "folds").is_dir() else _of_run(options)


def _of_run(options: Options) -> int:
    run = open_trained_run(options.run)
    from xray_chest_detection.core.files import sha256_of
    from xray_chest_detection.detect.normal_filter import choose_filter, effects
    from xray_chest_detection.detect.normal_filter_files import marks_of_run, write_choice
    from xray_chest_detection.detect.tuning.nested import patient_folds
    from xray_chest_detection.report.normal_filter import filter_markdown

    val, test = (
        marks_of_run(run, part, scores=options.scores, device=options.device, progress=partial(bar, title=part))
        for part in ("val", "test")
    )
    folds = patient_folds(val.split)
    if folds is None:
        raise DataError(f"{run.config.data}: only one validation patient has boxes; a choice of filters needs several")
    choice, _ = choose_filter(val, folds, objective=options.objective, weights_sha256=sha256_of(run.weights))
    found = effects(test, test.filtered([choice.filter] * len(test.marks)), resamples=options.resamples)
    measured = f"The best filter on the {len(test.marks)} test images."
    page = filter_markdown(run.folder.name, choice, found, measured=measured)
    return _report(page, write_choice(run.folder, choice, found, page, on="test"))


def _cross_validated(options: Options) -> int:
    from xray_chest_detection.detect.normal_filter import choose_filter, effects
    from xray_chest_detection.detect.normal_filter_files import marks_out_of_fold, write_choice
    from xray_chest_detection.detect.out_of_fold import read_out_of_fold
    from xray_chest_detection.report.normal_filter import filter_markdown

    predictions = read_out_of_fold(options.run)
    marked = marks_out_of_fold(predictions, scores=options.scores)
    choice, filtered = choose_filter(marked, predictions.fold, objective=options.objective)
    found = effects(marked, filtered, resamples=options.resamples)
    measured = f"All {len(marked.marks)} images, each with the filter chosen on the other folds."
    page = filter_markdown(options.run.name, choice, found, measured=measured)
    return _report(page, write_choice(options.run, choice, found, page, on="out-of-fold"))


def _report(page: str, written: Sequence[Path]) -> int:
    print(page)
    print(f"wrote {', '.join(path.name for path in written)} in {written[0].parent}")
    return 0
