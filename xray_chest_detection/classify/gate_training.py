"""Training the chest gate, and measuring it on pictures whose source it never saw."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.classify.gate_augment import TIGHT, changed, changed_negative, small
from xray_chest_detection.classify.gate_pictures import Pictures
from xray_chest_detection.config.chest_gate import ChestGateConfig
from xray_chest_detection.errors import DataError
from xray_chest_detection.inference.chest_gate import ChestGate, Subspace, features, stretched

FloatArray = NDArray[np.float32]
GreyArray = NDArray[np.uint8]

PARTS = ("train", "val", "test")
MADE = ("turned", "inverted", "tight")  # kinds of pictures made of films that are none any more
_MIN_SCALE = 0.05  # of features that hardly vary: they would weigh as much as all others
_VAL_COPIES = 5  # the threshold rests on few films in the tail: one copy of each moves it by chance
_BATCH = 256


@dataclass(frozen=True, eq=False)
class Measured:
    """Scores of one set of pictures.

    Attributes:
        name: Name of the set.
        kind: What the pictures are.
        chest: Whether they are chest films, which should pass.
        scores: `(N,)` scores of the gate.
        left_out: `(N,)` scores of a gate that was trained without this source; None where the gate itself was.
    """

    name: str
    kind: str
    chest: bool
    scores: FloatArray
    left_out: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class TrainedGate:
    """What a training gives: the arrays of the gate's file, its threshold, and what was measured.

    Attributes:
        subspace: Where chest films lie.
        weight: `(K + 2,)` weights of the regression.
        bias: Its constant.
        threshold: Score from which a picture passes.
        measured: Scores of every set.
        counts: Pictures of each source that were trained on, and films and patients of each part.
    """

    subspace: Subspace
    weight: FloatArray
    bias: float
    threshold: float
    measured: tuple[Measured, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


def part_of(name: str, config: ChestGateConfig) -> str:
    """The part of a film, by its patient: the file name up to the first `_`. Does not depend on the other films."""
    patient = name.partition("_")[0]
    digest = hashlib.sha256(f"{config.seed}:{patient}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return PARTS[0] if place < config.train else PARTS[1] if place < config.train + config.val else PARTS[2]


def train_gate(
    config: ChestGateConfig, films: Pictures, chest: Collection[Pictures], other: Collection[Pictures]
) -> TrainedGate:
    """Train on the films and the pictures of the other sources; measure on test films and on everything else.

    Each other source is also scored by a gate that was trained without it.

    Args:
        config: Shares, sizes and seed.
        films: Chest films by patient.
        chest: Chest pictures that are only measured.
        other: Pictures that are no chest film.

    Raises:
        DataError: A part of the films is empty.
    """
    rng = np.random.default_rng(config.seed)
    parts = _parts(films, config)
    copies = [changed(square, rng) for _ in range(config.copies) for square in parts["train"]]
    good = np.concatenate([_features(np.stack(copies)), _plain(parts["train"])])
    subspace = fit_subspace(good, config.components)
    bad = {name: _features(made(parts["train"], name, rng)) for name in MADE}
    bad |= {one.source.name: _copies(one.squares, config.per_source, rng) for one in other if one.source.train}
    reduced = {name: subspace.reduced(values) for name, values in bad.items()}
    inside = subspace.reduced(good)

    def fitted(without: str | None = None) -> tuple[FloatArray, float]:
        return fit_weights(inside, [part for name, part in reduced.items() if name != without], config)

    weight, bias = fitted()
    gate = ChestGate(subspace, weight, bias, card={"threshold": 0.0})
    val = gate.scores(stretched(np.stack([changed(one, rng) for _ in range(_VAL_COPIES) for one in parts["val"]])))
    threshold = float(np.quantile(val, config.flagged))
    sets = _chest_sets(parts, chest, rng)
    measured = [Measured(name, kind, True, gate.scores(pictures)) for name, kind, pictures in sets]
    for name, kind, pictures in _other_sets(parts, other, rng):
        without = ChestGate(subspace, *fitted(name), card={"threshold": 0.0}) if name in reduced else None
        left_out = None if without is None else without.scores(pictures)
        measured.append(Measured(name, kind, False, gate.scores(pictures), left_out))
    counts = {f"films_{part}": len(squares) for part, squares in parts.items()}
    counts |= {one.source.name: len(one.squares) for one in other if one.source.train}
    return TrainedGate(subspace, weight, bias, threshold, tuple(measured), counts)


def fit_subspace(values: FloatArray, components: int) -> Subspace:
    """The subspace of features `(N, F)`, with at most `components` directions."""
    mean, scale = values.mean(axis=0), values.std(axis=0) + np.float32(_MIN_SCALE)
    _, singular, directions = np.linalg.svd((values - mean) / scale, full_matrices=False)
    kept = min(components, int((singular > 1e-3 * singular[0]).sum()))
    spread = np.asarray(singular[:kept] / np.sqrt(len(values)), np.float32)
    return Subspace(mean, scale, directions[:kept].T.copy(), spread)


def fit_weights(good: FloatArray, bad: Collection[FloatArray], config: ChestGateConfig) -> tuple[FloatArray, float]:
    """Logistic regression that tells good from bad, films counted twice; weights `(K + 2,)` and constant."""
    from sklearn.linear_model import LogisticRegression

    values = np.concatenate([good, *bad])
    label = np.arange(len(values)) < len(good)
    model = LogisticRegression(C=config.regularisation, max_iter=300)
    model.fit(values, label, sample_weight=np.where(label, 2.0, 1.0))
    return model.coef_[0].astype(np.float32), float(model.intercept_[0])


def measure_pictures(gate: ChestGate, pictures: Pictures, config: ChestGateConfig) -> dict[str, object]:
    """How many pictures of a source a gate flags; of the films it may be trained on, the test part only."""
    squares = pictures.squares
    if pictures.source == config.films:
        squares = _parts(pictures, config)["test"]
    flags = gate.scores(_thumbnails(squares)) < gate.threshold
    return {
        "source": pictures.source.name,
        "kind": pictures.source.kind,
        "pictures": len(flags),
        "flagged": float(flags.mean()),
        "unreadable": pictures.unreadable,
    }


def made(squares: GreyArray, kind: str, rng: np.random.Generator) -> FloatArray:
    """Of every film one picture that is no upright chest film any more, `(N, 64, 64)`; `kind` is one of `MADE`."""
    if kind == "inverted":
        return np.stack([changed_negative(square, rng) for square in squares])
    if kind == "tight":
        return np.stack([changed(square, rng, zoom=rng.uniform(*TIGHT)) for square in squares])
    return np.stack([changed(square, rng, quarters=int(rng.integers(1, 4))) for square in squares])


def _parts(films: Pictures, config: ChestGateConfig) -> dict[str, GreyArray]:
    part = np.array([part_of(name, config) for name in films.names])
    parts = {name: films.squares[part == name] for name in PARTS}
    empty = [name for name, squares in parts.items() if not len(squares)]
    if empty:
        raise DataError(f"source '{films.source.name}': no film in part '{empty[0]}'; give films of more patients")
    return parts


def _chest_sets(
    parts: Mapping[str, GreyArray], chest: Collection[Pictures], rng: np.random.Generator
) -> list[tuple[str, str, FloatArray]]:
    """Name, kind and thumbnails of the sets that should pass."""
    changed_films = stretched(np.stack([changed(square, rng) for square in parts["test"]]))
    return [
        ("films_test", "films of patients never trained on", _thumbnails(parts["test"])),
        ("films_test_changed", "the same, strongly changed", changed_films),
        *((one.source.name, one.source.kind, _thumbnails(one.squares)) for one in chest),
    ]


def _other_sets(
    parts: Mapping[str, GreyArray], other: Collection[Pictures], rng: np.random.Generator
) -> list[tuple[str, str, FloatArray]]:
    """Name, kind and thumbnails of the sets that should be flagged."""
    sets = [(name, "made of test films", stretched(made(parts["test"], name, rng))) for name in MADE]
    return sets + [(one.source.name, one.source.kind, _thumbnails(one.squares)) for one in other]


def _copies(squares: GreyArray, limit: int, rng: np.random.Generator) -> FloatArray:
    """Features of the pictures and of up to `limit` changed copies, at most two of each; some of them turned."""
    number = min(limit, 2 * len(squares))
    chosen = rng.permutation(np.resize(np.arange(len(squares)), 2 * len(squares)))[:number]
    copies = [changed(squares[i], rng, quarters=int(rng.integers(4)) if rng.random() < 0.3 else 0) for i in chosen]
    return np.concatenate([_features(np.stack(copies)), _plain(squares)])


def _plain(squares: GreyArray) -> FloatArray:
    return _features(np.stack([small(square) for square in squares]))


def _thumbnails(squares: GreyArray) -> FloatArray:
    return stretched(np.stack([small(square) for square in squares]))


def _features(pictures: FloatArray) -> FloatArray:
    values = [features(stretched(pictures[start : start + _BATCH])) for start in range(0, len(pictures), _BATCH)]
    return np.concatenate(values)
