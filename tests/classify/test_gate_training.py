import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.classify.gate_augment import changed, small
from xray_chest_detection.classify.gate_files import markdown, rows, wilson, write_gate
from xray_chest_detection.classify.gate_pictures import DRAWINGS, SQUARE_PX, Pictures, read_pictures
from xray_chest_detection.classify.gate_training import (
    MADE,
    Measured,
    TrainedGate,
    fit_subspace,
    made,
    measure_pictures,
    part_of,
    train_gate,
)
from xray_chest_detection.config.base import read_config
from xray_chest_detection.config.chest_gate import ChestGateConfig, PictureSource
from xray_chest_detection.data.synthetic.anatomy import sample_patient
from xray_chest_detection.data.synthetic.radiograph import render_radiograph
from xray_chest_detection.errors import ConfigError, DataError
from xray_chest_detection.inference.chest_gate import FILE_NAME, NOT_A_CHEST, SIDE_PX, ChestGate, stretched

ROOT = Path(__file__).parents[2]
FILMS = PictureSource(name="films", kind="drawn films", folder=Path("films"))
NOISE = PictureSource(name="noise", kind="noise", drawn="noise", limit=40)
TEXT = PictureSource(name="text", kind="text", drawn="text", limit=40)
LIMBS = PictureSource(name="limbs", kind="limbs", drawn="limbs", limit=40, train=False)
CONFIG = ChestGateConfig(
    films=FILMS, chest=(), other=(NOISE, TEXT, LIMBS), copies=3, components=20, per_source=80, flagged=0.05
)


def drawn(source: PictureSource, seed: int = 0) -> Pictures:
    return read_pictures(source, fetched=Path("nowhere"), seed=seed)


@pytest.fixture(scope="module")
def films() -> Pictures:
    squares = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        squares.append(render_radiograph(sample_patient(rng), rng, size_px=SQUARE_PX).pixels)
    return Pictures(FILMS, np.stack(squares), tuple(f"{seed // 2:08d}_{seed % 2:03d}.png" for seed in range(60)))


@pytest.fixture(scope="module")
def trained(films: Pictures) -> TrainedGate:
    return train_gate(
        CONFIG,
        films,
        [drawn(FILMS.model_copy(update={"name": "x", "folder": None, "drawn": "noise"}))],
        [drawn(one) for one in CONFIG.other],
    )


def test_a_gate_knows_films_of_other_patients_and_pictures_of_sources_it_never_saw(trained: TrainedGate) -> None:
    found = {row["set"]: row for row in rows(trained.measured, trained.threshold)}
    assert list(found) == ["films_test", "films_test_changed", "x", *MADE, "noise", "text", "limbs"]
    assert found["films_test"]["flagged"] == 0
    for name in ("inverted", "turned", "noise", "text"):
        assert found[name]["flagged"] >= 0.9, name
    assert found["text"]["left_out"] >= 0.8
    assert found["limbs"]["flagged"] >= 0.8
    assert "left_out" not in found["limbs"]
    assert found["x"]["flagged"] == 1


def test_training_again_gives_the_same_gate(films: Pictures, trained: TrainedGate) -> None:
    again = train_gate(CONFIG, films, [], [drawn(one) for one in CONFIG.other])
    np.testing.assert_array_equal(again.weight, trained.weight)
    assert again.bias == trained.bias
    assert again.counts == trained.counts
    assert again.counts["films_train"] + again.counts["films_val"] + again.counts["films_test"] == 60
    assert "limbs" not in again.counts


def test_the_written_gate_scores_like_the_trained_one_and_its_card_makes_the_report(
    films: Pictures, trained: TrainedGate, tmp_path: Path
) -> None:
    write_gate(tmp_path / FILE_NAME, trained, CONFIG)
    gate = ChestGate.load(tmp_path / FILE_NAME)
    fresh = ChestGate(trained.subspace, trained.weight, trained.bias, card={"threshold": trained.threshold})
    pictures = stretched(np.stack([small(square) for square in films.squares]))
    np.testing.assert_allclose(gate.scores(pictures), fresh.scores(pictures), atol=2e-3)
    assert gate.check(films.squares[0]).passed
    assert gate.check(DRAWINGS["text"](np.random.default_rng(9))).message == NOT_A_CHEST
    page = markdown(json.loads((tmp_path / "chest_gate.json").read_text()))
    assert f"A picture passes from a score of {round(trained.threshold, 4):g}: 5 % of the changed" in page
    assert "| limbs | limbs | 40 | " in page
    assert measure_pictures(gate, films, CONFIG)["pictures"] == trained.counts["films_test"]


def test_all_films_of_a_patient_are_in_one_part_whatever_the_others_are(films: Pictures) -> None:
    parts = [part_of(name, CONFIG) for name in films.names]
    assert parts[::2] == parts[1::2]
    assert set(parts) == {"train", "val", "test"}
    shares = [part_of(f"{patient:08d}_000.png", CONFIG) for patient in range(4000)]
    assert shares.count("train") / 4000 == pytest.approx(0.6, abs=0.03)
    assert shares.count("val") / 4000 == pytest.approx(0.2, abs=0.03)


def test_too_few_patients_are_refused(films: Pictures) -> None:
    one = Pictures(FILMS, films.squares[:2], films.names[:2])
    with pytest.raises(
        DataError, match=r"source 'films': no film in part '(train|val|test)'; give films of more patien"
    ):
        train_gate(CONFIG, one, [], [])


@pytest.mark.parametrize("kind", sorted(DRAWINGS))
def test_drawings_are_grey_pictures_that_follow_from_the_generator(kind: str) -> None:
    one, same, other = (DRAWINGS[kind](np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert (one.dtype, one.ndim) == (np.uint8, 2)
    assert one.min() < one.max()
    np.testing.assert_array_equal(one, same)
    assert one.shape != other.shape or (one != other).any()


@pytest.mark.parametrize("kind", MADE)
def test_pictures_made_of_films_keep_their_range(films: Pictures, kind: str) -> None:
    pictures = made(films.squares[:5], kind, np.random.default_rng(0))
    assert pictures.shape == (5, SIDE_PX, SIDE_PX)
    assert 0 <= pictures.min() < pictures.max() <= 1


def test_a_quarter_turn_lies_as_numpy_turns(films: Pictures) -> None:
    straight, turned = (changed(films.squares[0], np.random.default_rng(1), quarters=quarters) for quarters in (0, 1))
    # the marks and borders lie elsewhere, so only most of the picture agrees
    assert np.corrcoef(np.rot90(straight).ravel(), turned.ravel())[0, 1] > 0.8
    assert np.corrcoef(straight.ravel(), turned.ravel())[0, 1] < 0.8


def test_a_point_in_the_subspace_is_not_off_it() -> None:
    rng = np.random.default_rng(0)
    flat = (rng.normal(size=(50, 3)) @ rng.normal(size=(3, 20))).astype(np.float32)
    space = fit_subspace(flat, 10)
    assert space.basis.shape == (20, 3)
    on, off = space.reduced(flat[:1]), space.reduced(flat[:1] + rng.normal(size=(1, 20)).astype(np.float32))
    assert on[0, -2] < off[0, -2]
    np.testing.assert_allclose(space.reduced(flat)[:, :3].std(axis=0), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 0, 0, 1), (0, 10, 0, 0.2775), (8, 10, 0.4902, 0.9433), (10, 10, 0.7225, 1)]
)
def test_wilson_gives_the_published_values(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits, n) == pytest.approx((low, high), abs=1e-4)


def test_rows_count_scores_below_the_threshold() -> None:
    (row,) = rows([Measured("a", "b", False, np.array([0.1, 0.5, 0.9], np.float32))], 0.5)
    assert (row["n"], row["flagged"]) == (3, 0.3333)


def test_a_folder_is_read_without_icons_copies_and_damaged_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, side in (("a.png", 100), ("deep/b.png", 90), ("icon.png", 40), ("c.png", 120)):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (side, side)).astype(np.uint8)).save(path)
    (tmp_path / "pictures" / "copy.png").write_bytes((tmp_path / "pictures" / "a.png").read_bytes())
    (tmp_path / "pictures" / "damaged.png").write_bytes(b"\x89PNG" + bytes(5000))
    source = PictureSource(name="pictures", kind="test", folder=tmp_path / "pictures", leave_out=("c.*",))
    found = read_pictures(source, fetched=tmp_path, seed=0)
    assert found.names == ("a.png", "b.png")
    assert (found.squares.shape, found.unreadable) == ((2, SQUARE_PX, SQUARE_PX), 1)
    fetched = PictureSource(name="lost", kind="test", archives=({"url": "file:///x.whl", "sha256": "0" * 64},))
    with pytest.raises(DataError, match=r"lost: no such folder, for source 'lost'; run `xray chest-gate fetch` first"):
        read_pictures(fetched, fetched=tmp_path, seed=0)
    with pytest.raises(DataError, match=r"pictures: no readable picture for source 'pictures'"):
        read_pictures(source.model_copy(update={"only": ("z*",)}), fetched=tmp_path, seed=0)


def test_the_configuration_of_the_shipped_gate_is_valid_and_names_each_source_once() -> None:
    config = read_config(ChestGateConfig, ROOT / "configs" / "chest_gate.yaml")
    card = json.loads((ROOT / "checkpoints" / "chest_gate.json").read_text())
    assert card["settings"] == config.model_dump(mode="json", exclude={"films", "chest", "other"})
    assert {row["set"] for row in card["measured"]} >= {source.name for source in (*config.chest, *config.other)}
    assert (ROOT / "docs" / "chest_gate.md").read_text() == markdown(card)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"other": [{"name": "a", "kind": "b"}]}, "source 'a': give one of folder, archives and drawn"),
        ({"other": [{"name": "films", "kind": "b", "drawn": "text"}]}, "source 'films' is named twice"),
        ({"other": [{"name": "a b", "kind": "b", "drawn": "text"}]}, "other.0.name"),
    ],
)
def test_a_wrong_configuration_is_one_line(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "gate.yaml"
    films = {"name": "films", "kind": "films", "folder": "films"}
    path.write_text(json.dumps({"films": films, "chest": [], "other": []} | change))
    with pytest.raises(ConfigError, match=message):
        read_config(ChestGateConfig, path)


def test_the_shipped_gate_holds_its_goals_on_what_it_never_saw() -> None:
    card = json.loads((ROOT / "checkpoints" / "chest_gate.json").read_text())
    found = {row["set"]: row for row in card["measured"]}
    assert found["films_test"]["flagged"] < 0.02
    pictures = [row for row in card["measured"] if not row["chest"] and row["set"] not in MADE]
    flagged = sum(row.get("left_out", row["flagged"]) * row["n"] for row in pictures) / sum(
        row["n"] for row in pictures
    )
    assert flagged >= 0.95
    assert min(row.get("left_out", row["flagged"]) for row in pictures) >= 0.9


@pytest.mark.pack
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("nih", 0, 0.02),
        ("plain_cxr", 0, 0.05),
        ("synthetic", 0, 0),
        ("ultrasound", 0.95, 1),
        ("glomeruli", 0.95, 1),
        ("limb", 1, 1),
    ],
)
def test_the_shipped_gate_does_on_real_pictures_what_its_card_says(
    pack: Path, monkeypatch: pytest.MonkeyPatch, name: str, low: float, high: float
) -> None:
    monkeypatch.chdir(ROOT)
    config = read_config(ChestGateConfig, ROOT / "configs" / "chest_gate.yaml")
    (source,) = (one for one in (config.films, *config.chest, *config.other) if one.name == name)
    gate = ChestGate.load(ROOT / "checkpoints" / FILE_NAME)
    pictures = read_pictures(source, fetched=Path("nowhere"), seed=config.seed)
    measured = measure_pictures(gate, pictures, config)
    assert low <= float(str(measured["flagged"])) <= high
    row = next(row for row in gate.card["measured"] if row["set"] == ("films_test" if name == "nih" else name))
    assert (measured["pictures"], measured["flagged"]) == (row["n"], pytest.approx(row["flagged"], abs=0.005))
