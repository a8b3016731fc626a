"""`xray cross-validate CONFIG.yaml --folds 5`: train a recipe once per fold of the patients and measure it."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from xray_chest_detection.cli.progress import bar
from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.cross_validate import CrossValidateConfig
from xray_chest_detection.detect.tracking import epoch_rows, make_tracker

if TYPE_CHECKING:  # brings torch, which the tracker must come before
    from xray_chest_detection.detect.fold_plan import Plan


def main(argv: Sequence[str]) -> int:
    """Train the wanted folds, or go on with them; when all are done, write and print the numbers."""
    description = "Train once per fold of the patients; the same command goes on after a stop."
    config = from_command_line(CrossValidateConfig, argv, prog="xray cross-validate", description=description)
    note = make_tracker(config.comet).note  # before torch is imported
    from xray_chest_detection.detect.cross_validate import collect, run_fold, unfinished, write_end
    from xray_chest_detection.detect.fold_plan import prepare
    from xray_chest_detection.detect.fold_results import summarise, write_results
    from xray_chest_detection.report.cross_validation import cross_validation_markdown, cross_validation_summary

    if note:
        print(note)
    plan = prepare(config)
    progress = partial(bar, title="images")
    for fold in config.wanted:
        print(f"fold {fold} of {config.folds}: {_state(plan, fold)}", flush=True)
        tracker = make_tracker(config.comet)  # every fold is an experiment
        try:
            run_fold(plan, fold, tracker=tracker, progress=progress)
        except KeyboardInterrupt as error:
            raise type(error)("give the same command again to go on") from None
        finally:
            tracker.finish()
    missing = unfinished(plan)
    if missing:
        folds = ",".join(map(str, missing))
        print(f"{config.folds - len(missing)} of {config.folds} folds are trained; go on with --only {folds}")
        return 0
    result = summarise(config.name, collect(plan, progress=progress), resamples=config.resamples)
    written = write_results(plan.folder, result, cross_validation_markdown(result))
    write_end(plan, written)
    print(cross_validation_summary(result))
    print(f"wrote {', '.join(path.name for path in written)} and out_of_fold.npz in {plan.folder}")
    return 0


def _state(plan: "Plan", fold: int) -> str:
    state = plan.state(fold)
    if state == "cut":
        done = len(epoch_rows(plan.run(fold) / "results.csv"))
        return f"goes on after {done} of {plan.config.epochs} epochs"
    return {"new": "starts", "trained": "is trained already"}[state]
