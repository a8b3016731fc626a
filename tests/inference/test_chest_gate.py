import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw, ImageFont

from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.images import read_image
from xray_chest_detection.data.synthetic.anatomy import sample_patient
from xray_chest_detection.data.synthetic.radiograph import render_radiograph
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.chest_gate import (
    FILE_NAME,
    INVERTED,
    NOT_A_CHEST,
    SIDE_PX,
    TURNED,
    ChestGate,
    features,
    squared,
    stretched,
    thumbnail,
)

ROOT = Path(__file__).parents[2]
GATE = ROOT / "checkpoints" / FILE_NAME
SAMPLES = sorted((ROOT / "images_for_inference").glob("synthetic_*.png"))


@pytest.fixture(scope="module")
def gate() -> ChestGate:
    return ChestGate.load(GATE)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for path in (GATE, GATE.with_suffix(".json")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / FILE_NAME


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_samples_of_the_page_pass(gate: ChestGate, path: Path) -> None:
    check = gate.check(read_image(path).pixels)
    assert (check.passed, check.message) == (True, None)
    assert gate.threshold <= check.score <= 1


def test_synthetic_films_of_any_size_pass(gate: ChestGate) -> None:
    for seed, size_px in enumerate((128, 300, 777)):
        rng = np.random.default_rng(seed)
        assert gate.check(render_radiograph(sample_patient(rng), rng, size_px=size_px).pixels).passed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda film: 255 - film, INVERTED),
        (np.rot90, TURNED),
        (lambda film: np.rot90(film, 2), TURNED),
        (lambda film: np.rot90(film, 3), TURNED),
        (lambda film: film[:200, :200], NOT_A_CHEST),
    ],
    ids=["inverted", "left", "upside down", "right", "corner"],
)
def test_a_film_shown_wrongly_says_what_is_wrong(gate: ChestGate, change, message: str) -> None:
    check = gate.check(change(read_image(SAMPLES[0]).pixels))
    assert (check.passed, check.message) == (False, message)


def page_of_text() -> np.ndarray:
    page = Image.new("L", (600, 800), 250)
    canvas = ImageDraw.Draw(page)
    for line in range(24):
        canvas.text(
            (40, 40 + 30 * line), "Impression: no acute finding.", font=ImageFont.load_default(size=22), fill=10
        )
    return np.asarray(page)


def photographs() -> list[np.ndarray]:
    from sklearn.datasets import load_sample_images

    return [np.asarray(Image.fromarray(picture).convert("L")) for picture in load_sample_images().images]


@pytest.mark.parametrize(
    "picture",
    [
        page_of_text(),
        255 - page_of_text(),
        np.tile(np.arange(256, dtype=np.uint8), (256, 1)),
        np.random.default_rng(0).integers(0, 256, (300, 400)).astype(np.uint8),
        *photographs(),
    ],
    ids=["text", "bright text", "gradient", "noise", "pagoda", "flower"],
)
def test_pictures_that_are_no_film_are_flagged(gate: ChestGate, picture: np.ndarray) -> None:
    check = gate.check(picture)
    assert (check.passed, check.message) == (False, NOT_A_CHEST)
    assert 0 <= check.score < gate.threshold


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (1, 1), (1, 10_000), (10_000, 1), (31, 33)])
@pytest.mark.parametrize("value", [0, 255])
def test_pictures_without_contrast_are_flagged(gate: ChestGate, shape: tuple[int, int], value: int) -> None:
    assert gate.check(np.full(shape, value, np.uint8)).passed is False


@pytest.mark.parametrize("shape", [(1000, 1000), (8000, 8000)])
def test_a_film_is_judged_within_20_milliseconds(gate: ChestGate, shape: tuple[int, int]) -> None:
    film = np.asarray(Image.fromarray(read_image(SAMPLES[0]).pixels).resize(shape))
    seconds = []
    for _ in range(5):  # processor time and the best of some, because other processes may have the rest of the machine
        started = time.process_time()
        check = gate.check(film)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.02
    assert check.passed


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=90)))
def test_every_picture_gives_finite_features(pixels: np.ndarray) -> None:
    picture = thumbnail(pixels)
    assert picture.shape == (SIDE_PX, SIDE_PX)
    assert (picture.min(), picture.max()) >= (0, 0)
    assert picture.max() <= 1
    assert np.isfinite(features(picture[None])).all()


@given(st.integers(1, 60), st.integers(1, 60))
def test_the_whole_picture_lies_in_the_middle_of_the_square(height: int, width: int) -> None:
    square = squared(np.full((height, width), 200, np.uint8), 60)
    rows, columns = np.flatnonzero(square.any(axis=1)), np.flatnonzero(square.any(axis=0))
    factor = 60 / max(height, width)
    assert len(rows) == pytest.approx(max(1, height * factor), abs=0.5 + 1e-9)
    assert len(columns) == pytest.approx(max(1, width * factor), abs=0.5 + 1e-9)
    assert abs(rows[0] - (59 - rows[-1])) <= 1
    assert abs(columns[0] - (59 - columns[-1])) <= 1


def test_features_tell_a_bright_line_from_a_dark_one_and_no_matter_how_many_at_once() -> None:
    pictures = np.random.default_rng(0).random((3, SIDE_PX, SIDE_PX)).astype(np.float32)
    together = features(pictures)
    np.testing.assert_allclose(together, np.concatenate([features(one[None]) for one in pictures]), atol=1e-5)
    assert np.abs(features(1 - pictures) - together).max() > 0.1


def test_brightness_and_contrast_do_not_matter() -> None:
    picture = np.random.default_rng(0).random((1, SIDE_PX, SIDE_PX)).astype(np.float32)
    np.testing.assert_allclose(stretched(40 + 3 * picture), stretched(picture), atol=1e-4)
    assert not stretched(np.full((1, 4, 4), 7, np.float32)).any()


def test_the_card_belongs_to_the_file(gate: ChestGate) -> None:
    assert gate.card["sha256"] == sha256_of(GATE)
    assert GATE.stat().st_size < 1 << 20


def test_a_gate_without_its_file_or_card_says_what_is_missing(copy: Path) -> None:
    copy.unlink()
    with pytest.raises(ModelError, match=r"chest_gate\.npz: no such file; fetch it, or make it with `xray chest-gate"):
        ChestGate.load(copy)
    copy.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"chest_gate\.json: cannot be read \(No such file or directory\)"):
        ChestGate.load(copy)


def test_a_changed_file_is_refused(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"chest_gate\.npz: sha256 [0-9a-f]{12}\.\.\. is not the card's [0-9a-f]{12}"):
        ChestGate.load(copy)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "empty zip"])
def test_a_file_that_is_no_gate_is_one_line(copy: Path, content: bytes) -> None:
    copy.write_bytes(content)
    card = json.loads(copy.with_suffix(".json").read_text())
    copy.with_suffix(".json").write_text(json.dumps(card | {"sha256": sha256_of(copy)}))
    with pytest.raises(
        ModelError, match=r"chest_gate\.npz: not a chest gate \(.+\); make it with `xray chest-gate train`$"
    ):
        ChestGate.load(copy)


def test_no_pickle_is_ever_loaded(copy: Path) -> None:
    np.savez(copy, mean=np.array([{"a": 1}], dtype=object))
    card = json.loads(copy.with_suffix(".json").read_text())
    copy.with_suffix(".json").write_text(json.dumps(card | {"sha256": sha256_of(copy)}))
    with pytest.raises(ModelError, match=r"not a chest gate .*allow_pickle=False"):
        ChestGate.load(copy)


def test_arrays_of_another_shape_are_refused(copy: Path) -> None:
    with np.load(copy) as arrays_:
        values = dict(arrays_)
    np.savez(copy, **(values | {"weight": values["weight"][:-1]}))
    card = json.loads(copy.with_suffix(".json").read_text())
    copy.with_suffix(".json").write_text(json.dumps(card | {"sha256": sha256_of(copy)}))
    with pytest.raises(ModelError, match="not a chest gate"):
        ChestGate.load(copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ("[]", "a card needs 'sha256' and a 'threshold' between 0 and 1"),
        ('{"sha256": "", "threshold": 2}', "a card needs 'sha256' and a 'threshold' between 0 and 1"),
        ('{"threshold": 0.5}', "a card needs 'sha256' and a 'threshold' between 0 and 1"),
    ],
)
def test_a_wrong_card_is_one_line(copy: Path, text: str, message: str) -> None:
    copy.with_suffix(".json").write_text(text)
    with pytest.raises(ModelError, match=rf"chest_gate\.json: {message}"):
        ChestGate.load(copy)
