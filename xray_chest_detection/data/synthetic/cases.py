"""Which findings a patient has: drawn per visit, some stay from one visit to the next."""

from collections.abc import Sequence

import numpy as np

from xray_chest_detection.data.synthetic.anatomy import LEFT, RIGHT
from xray_chest_detection.data.synthetic.findings import Finding

NIH_CLASSES = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltrate", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
)  # fmt: skip

# class: depth, breadth and size from .. to (see `Finding`); sizes follow the middle half of the public boxes
_RANGES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "Aortic enlargement": ((0, 0), (0, 0), (1.45, 1.75)),
    "Atelectasis": ((0.68, 0.92), (0.35, 0.65), (0.12, 0.23)),
    "Cardiomegaly": ((0, 0), (0, 0), (0.56, 0.68)),
    "Effusion": ((1, 1), (1, 1), (0.11, 0.36)),
    "Infiltrate": ((0.30, 0.85), (0.30, 0.60), (0.15, 0.27)),
    "Mass": ((0.20, 0.85), (0.25, 0.75), (0.088, 0.19)),  # 3 cm is 0.083 image sides
    "Nodule": ((0.12, 0.90), (0.20, 0.85), (0.034, 0.078)),
    "Pneumonia": ((0.35, 0.85), (0.30, 0.60), (0.16, 0.27)),
    "Pneumothorax": ((0.35, 0.80), (0, 0), (0.055, 0.14)),
}


def sample_finding(
    class_name: str, rng: np.random.Generator, *, side: int | None = None, obvious: bool = False
) -> Finding:
    """Draw one finding of a class, on either side where none is given.

    Contrast runs from subtle to plain; an obvious finding has good contrast and is of the larger half.
    """
    depth, breadth, (smallest, largest) = _RANGES[class_name]
    drawn_side = int(rng.choice([RIGHT, LEFT]))
    min_contrast = 0.65 if obvious else 0.3
    return Finding(
        class_name=class_name,
        side=side or drawn_side,
        depth=float(rng.uniform(*depth)),
        breadth=float(rng.uniform(*breadth)),
        size=float(rng.uniform((smallest + largest) / 2 if obvious else smallest, largest)),
        contrast=float(min_contrast + (1 - min_contrast) * rng.beta(2.2, 1.4)),
        seed=int(rng.integers(2**32)),
    )


def sample_findings(rng: np.random.Generator, classes: Sequence[str]) -> tuple[Finding, ...]:
    """Draw the findings of one sick visit: mostly one class, sometimes more, some of them on both sides."""
    n_classes = 1 + int(rng.random() < 0.35) + int(rng.random() < 0.12)
    chosen = sorted(rng.choice(np.array(classes), size=min(n_classes, len(classes)), replace=False).tolist())
    findings: list[Finding] = []
    for name in chosen:
        first = sample_finding(name, rng)
        findings.append(first)
        if name in ("Effusion", "Infiltrate", "Nodule") and rng.random() < 0.25:
            findings.append(sample_finding(name, rng, side=-first.side))
    return tuple(findings)


def next_visit(rng: np.random.Generator, before: tuple[Finding, ...], classes: Sequence[str]) -> tuple[Finding, ...]:
    """The findings some time later: an enlarged heart, a mass or a nodule stays, the rest may heal or come anew."""
    lasting = tuple(f for f in before if f.class_name in ("Cardiomegaly", "Mass", "Nodule", "Aortic enlargement"))
    healing = tuple(f for f in before if f not in lasting and rng.random() < 0.4)
    kept = lasting + healing
    if rng.random() < 0.35:
        known = {f.class_name for f in kept}
        kept += tuple(f for f in sample_findings(rng, classes) if f.class_name not in known)
    return kept
