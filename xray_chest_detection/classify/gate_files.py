"""The chest gate's file, its card and its report."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.classify.gate_training import MADE, Measured, TrainedGate
from xray_chest_detection.config.chest_gate import ChestGateConfig
from xray_chest_detection.core.files import sha256_of, write_bytes, write_text
from xray_chest_detection.core.manifest import versions_of

LIMITS = (
    "Trained on frontal films from one hospital; lateral films and films of small children were not measured.",
    "Limbs, skulls and spines were drawn for training; one real radiograph of a leg was at hand to measure.",
    "A film cut to a small part of the chest often passes, a simple drawing on black now and then.",
    "It judges what is shown, not how well: an underexposed film can pass.",
    "It warns; what it says must never keep anybody from seeing the findings.",
)
LICENCES = (
    "Weights: AGPL-3.0-only. No picture is contained. Films: NIH ChestX-ray14, free use with attribution (Wang et al. "
    "2017). Ultrasound and histology: no licence stated, local research use. Packages: see each package's own licence."
)
_Z95 = 1.959964
_PAGE = """# Does it look like a chest X-ray?

The gate in `checkpoints/chest_gate.npz` warns when a picture does not look like an upright frontal chest film with
bright bones. It never blocks. Gradient histograms of a 64-pixel thumbnail are described by {components} directions in
which films vary and by the distance from them, and a logistic regression decides; it needs numpy only. Black and white
swapped, or a film that is turned, get a sentence of their own. This page is written by

```
xray chest-gate fetch        # packages with pictures, into datasets/raw/not_chest
xray chest-gate train        # the gate, its card and this page
```

A picture passes from a score of {threshold:g}: {share:g} % of the changed validation films fall below it. Films are
divided by patient; "changed" is what a gate is trained on: moved, leaned, mirrored, other contrast, blur, noise,
frames, burnt-in marks. Intervals are Wilson's, 95 %; pictures of one source are alike, so the truth may lie further
off.

## Chest films, none trained on

| set | what | n | flagged |
| --- | --- | ---: | ---: |
{films}

## Other pictures

The first number is of the shipped gate, the second of one that never saw the source. A dash: nor did the shipped one.

| source | what | n | flagged | flagged, source left out |
| --- | --- | ---: | ---: | ---: |
{pictures}

All {n} pictures of other sources, without those made of films: {overall:.1f} % flagged by a gate that never saw their
source.

## Limits

{limits}
"""


def write_gate(path: Path, trained: TrainedGate, config: ChestGateConfig) -> None:
    """Write the gate and, with the suffix `.json`, its card."""
    space = trained.subspace
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        mean=space.mean,
        scale=space.scale,
        basis=space.basis.astype(np.float16),  # half the size, and scores stay equal to three digits
        spread=space.spread,
        weight=trained.weight,
        bias=np.float32(trained.bias),
    )
    write_bytes(path, stream.getvalue())
    card = {
        "name": path.stem,
        "sha256": sha256_of(path),
        "threshold": round(trained.threshold, 4),
        "trained_on": dict(trained.counts),
        "made_of_training_films": "films turned by quarters, with black and white swapped, and cut to a small part",
        "settings": config.model_dump(mode="json", exclude={"films", "chest", "other"}),
        "measured": rows(trained.measured, trained.threshold),
        "limits": LIMITS,
        "licence": LICENCES,
        "versions": versions_of("numpy", "opencv-python", "pillow", "scikit-learn"),
    }
    write_text(path.with_suffix(".json"), json.dumps(card, indent=1) + "\n")


def rows(measured: Sequence[Measured], threshold: float) -> list[dict[str, Any]]:
    """Share flagged of each set with its 95 % interval, by the gate and by the one that never saw the source."""
    found = []
    for one in measured:
        row: dict[str, Any] = {"set": one.name, "kind": one.kind, "chest": one.chest, "n": len(one.scores)}
        row |= _flagged("flagged", one.scores < threshold)
        if one.left_out is not None:
            row |= _flagged("left_out", one.left_out < threshold)
        found.append(row)
    return found


def markdown(card: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    chest = [row for row in card["measured"] if row["chest"]]
    other = [row for row in card["measured"] if not row["chest"]]
    films = [f"| {row['set']} | {row['kind']} | {row['n']} | {_cell(row, 'flagged')} |" for row in chest]
    pictures = [
        f"| {row['set']} | {row['kind']} | {row['n']} | {_cell(row, 'flagged')} | {_cell(row, 'left_out')} |"
        for row in other
    ]
    strange = [row for row in other if row["set"] not in MADE]
    return _PAGE.format(
        threshold=card["threshold"],
        components=card["settings"]["components"],
        share=100 * card["settings"]["flagged"],
        films="\n".join(films),
        pictures="\n".join(pictures),
        n=sum(row["n"] for row in strange),
        overall=100 * _overall(strange),
        limits="\n".join(f"- {limit}" for limit in card["limits"]),
    )


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share; no trial at all gives 0 to 1.

    >>> low, high = wilson(10, 10)
    >>> round(low, 3), round(high, 3)
    (0.722, 1.0)

    Source: Wilson 1927, doi 10.1080/01621459.1927.10502953.
    """
    if n == 0:
        return 0.0, 1.0
    share, z = hits / n, _Z95
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return max(0.0, middle - half), min(1.0, middle + half)


def _flagged(name: str, flags: NDArray[np.bool_]) -> dict[str, float]:
    hits, n = int(flags.sum()), len(flags)
    low, high = wilson(hits, n)
    return {name: round(hits / n, 4), f"{name}_low": round(low, 4), f"{name}_high": round(high, 4)}


def _cell(row: Mapping[str, Any], name: str) -> str:
    if name not in row:
        return "-"
    return f"{100 * row[name]:.1f} % ({100 * row[name + '_low']:.1f} to {100 * row[name + '_high']:.1f})"


def _overall(other: Sequence[Mapping[str, Any]]) -> float:
    flagged = sum(row.get("left_out", row["flagged"]) * row["n"] for row in other)
    return float(flagged / sum(row["n"] for row in other))
