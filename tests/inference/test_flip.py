"""The mirrored view, score maps and tiles of a card, with a network whose answer can be worked out."""

import numpy as np
import pytest

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.fusion import fuse_views
from xray_chest_detection.core.model_card import Thresholds, read_card, write_card
from xray_chest_detection.core.nms import nms
from xray_chest_detection.core.radiograph import Radiograph
from xray_chest_detection.core.tiling import Tiles
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.predict import detect_radiograph
from xray_chest_detection.inference.registry import Registry
from xray_chest_detection.inference.session import DetectorSession

SIZE, COLUMNS = 64, 8


@pytest.fixture
def column_model(tmp_path, make_model):
    """A detector of bright columns: eight fixed boxes side by side, each scored by the mean of its column."""
    from onnx import TensorProto, helper, numpy_helper, save

    def make(name="multi", *, batch=1, bias=(0.0,) * COLUMNS, **card):
        wide = SIZE / COLUMNS
        boxes = np.zeros((1, 4, COLUMNS), np.float32)
        boxes[0, 0], boxes[0, 1] = np.arange(COLUMNS) * wide + wide / 2, SIZE / 2
        boxes[0, 2], boxes[0, 3] = wide, SIZE / 2
        constants = {
            "shape": np.array([0, 1, COLUMNS], np.int64),
            "boxes": boxes,
            "nothing": np.zeros(1, np.float32),
            "bias": np.array([[bias]], np.float32),
        }
        free = "batch" if batch is None else batch
        graph = helper.make_graph(
            [
                helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[SIZE, 8], strides=[SIZE, 8]),
                helper.make_node("ReduceMean", ["pooled"], ["grey"], axes=[1], keepdims=1),
                helper.make_node("Reshape", ["grey", "shape"], ["columns"]),
                helper.make_node("Add", ["columns", "bias"], ["score"]),
                helper.make_node("Mul", ["columns", "nothing"], ["empty"]),
                helper.make_node("Add", ["empty", "boxes"], ["places"]),
                helper.make_node("Concat", ["places", "score"], ["output0"], axis=1),
            ],
            "columns",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, (free, 3, SIZE, SIZE))],
            [helper.make_tensor_value_info("output0", TensorProto.FLOAT, (free, 5, COLUMNS))],
            [numpy_helper.from_array(value, key) for key, value in constants.items()],
        )
        path = make_model(tmp_path, name, classes=("Bright",), head=np.zeros((5, COLUMNS)))
        file = tmp_path / f"{name}.onnx"
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
        old = read_card(path)
        changes = {"sha256": sha256_of(file), "thresholds": Thresholds(conf=0.25, iou=0.5), **card}
        write_card(path, old.model_validate(old.model_dump() | changes))
        return path

    return make


def film(width=64, height=64, *, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


def rows_of(found: Detections) -> np.ndarray:
    rows = np.column_stack([found.score, found.xyxy])
    return rows[np.lexsort(rows.round(2).T[::-1])]


def turned_back(found: Detections) -> Detections:
    xyxy = found.xyxy.copy()
    xyxy[:, [0, 2]] = found.width_px - found.xyxy[:, [2, 0]]
    return Detections(xyxy, found.score, found.class_id, found.width_px, found.height_px)


def lopsided():
    return np.linspace(-0.3, 0.3, COLUMNS)


@pytest.mark.parametrize("size", [(64, 64), (100, 60), (37, 90), (33, 64)])  # the last two are padded unevenly
def test_boxes_of_the_mirrored_view_lie_on_the_film_to_the_pixel(column_model, size):
    """A column is as bright in the mirror: both views say the same where the network has no side it prefers."""
    session = DetectorSession(column_model())
    straight, mirror = session.views(session.prepare(film(*size)), flip=True)
    assert len(straight) > 0
    np.testing.assert_allclose(rows_of(mirror), rows_of(straight), atol=1e-3)


@pytest.mark.parametrize("size", [(64, 64), (100, 60)])  # where scaling is the same from both sides
def test_both_views_are_those_of_the_film_and_of_the_mirrored_film(column_model, size):
    session = DetectorSession(column_model("one", bias=lopsided()))
    pixels = film(*size)
    straight, mirror = session.views(session.prepare(pixels), flip=True)
    (expected,) = session.views(session.prepare(np.ascontiguousarray(pixels[:, ::-1])))
    np.testing.assert_allclose(rows_of(mirror), rows_of(turned_back(expected)), atol=1e-2)
    flipped = DetectorSession(column_model("two", bias=lopsided(), flip=True))
    np.testing.assert_allclose(rows_of(flipped.raw(pixels)), rows_of(fuse_views(straight, mirror)), atol=1e-4)


def test_a_mirrored_film_gives_the_mirrored_answer(column_model):
    session = DetectorSession(column_model(bias=lopsided(), flip=True))
    pixels = film(100, 60)
    one, other = session.detect(pixels), session.detect(np.ascontiguousarray(pixels[:, ::-1]))
    assert len(one) > 0
    np.testing.assert_allclose(rows_of(one), rows_of(turned_back(other)), atol=1e-2)


@pytest.mark.parametrize("batch", [None, 1])
def test_a_network_with_a_free_batch_is_asked_once(column_model, monkeypatch, batch):
    session = DetectorSession(column_model(batch=batch, bias=lopsided(), flip=True))
    expected = DetectorSession(column_model("other", bias=lopsided(), flip=True)).detect(film())
    sizes, run = [], session._network.run
    monkeypatch.setattr(session._network, "run", lambda tensor: sizes.append(len(tensor)) or run(tensor))
    np.testing.assert_allclose(rows_of(session.detect(film())), rows_of(expected), atol=1e-5)
    assert sizes == ([2] if batch is None else [1, 1])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("maps", [{}, {"Bright": (0.7, -0.4)}])
def test_a_low_score_cut_higher_gives_what_the_higher_score_gives(column_model, flip, maps):
    session = DetectorSession(column_model(bias=lopsided(), flip=flip, score_maps=maps))
    pixels = film(seed=4)
    low = session.detect(pixels, conf=0.01)
    for conf in (0.2, 0.4, 0.5):
        high = session.detect(pixels, conf=conf)
        np.testing.assert_array_equal(rows_of(low.select(low.score >= np.float32(conf))), rows_of(high))


def test_score_maps_come_after_the_fusion_and_before_the_thresholds(column_model):
    pixels = film()
    plain = DetectorSession(column_model("plain", flip=True)).detect(pixels, conf=0.0)
    slope, offset = 2.0, -1.0
    mapped = DetectorSession(column_model("mapped", flip=True, score_maps={"Bright": (slope, offset)}))
    expected = 1 / (1 + np.exp(-(slope * np.log(plain.score / (1 - plain.score)) + offset)))
    np.testing.assert_allclose(mapped.detect(pixels, conf=0.0).score, expected, atol=1e-5)
    kept = mapped.detect(pixels)
    assert len(kept) == (expected >= 0.25).sum() < len(plain)


def test_tiles_of_the_card_are_looked_at_unless_others_are_asked_for(column_model):
    tiles = Tiles(side=0.5, overlap=0.5)
    pixels = film(128, 128)
    whole = DetectorSession(column_model("whole"))
    tiled = DetectorSession(column_model("tiled", tiles=tiles.model_dump()))
    expected = whole.raw(pixels, tiles=tiles)
    assert len(expected) > len(whole.raw(pixels))
    np.testing.assert_array_equal(rows_of(tiled.raw(pixels)), rows_of(expected))
    np.testing.assert_array_equal(rows_of(tiled.raw(pixels, tiles=Tiles(side=1))), rows_of(whole.raw(pixels)))


def test_tiles_and_mirror_together_fuse_all_that_each_side_shows(column_model):
    tiles = Tiles(side=0.5, overlap=0.5)
    both = DetectorSession(column_model("both", bias=lopsided(), tiles=tiles.model_dump(), flip=True))
    pixels = film(128, 128)
    one, other = both.views(both.prepare(pixels), flip=True)
    np.testing.assert_allclose(rows_of(both.raw(pixels)), rows_of(fuse_views(one, other)), atol=1e-5)
    (mirrored,) = both.views(both.prepare(np.ascontiguousarray(pixels[:, ::-1])))
    np.testing.assert_allclose(
        rows_of(nms(other, conf=0.1, iou=0.5)), rows_of(nms(turned_back(mirrored), conf=0.1, iou=0.5)), atol=1e-2
    )


def test_models_share_the_scaled_film_with_different_views(column_model, tmp_path):
    """What one model does with the shared film is what it does alone."""
    column_model("plain", bias=lopsided())
    column_model("flipped", bias=lopsided(), flip=True)
    column_model("tiled", bias=lopsided(), tiles={"side": 0.5, "overlap": 0.5})
    registry = Registry.load(tmp_path)
    pixels = film(100, 60)
    found = detect_radiograph(registry, Radiograph(pixels, name="film", format="PNG"), models=registry.names, conf=0.1)
    for name in registry.names:
        np.testing.assert_array_equal(rows_of(found[name]), rows_of(registry.get(name).detect(pixels, conf=0.1)))
    assert len({rows_of(marks).tobytes() for marks in found.values()}) == 3


def test_a_map_of_a_class_the_model_lacks_is_refused(column_model):
    path = column_model(score_maps={"Hernia": (1.0, 0.0)})
    with pytest.raises(ModelError, match=r"multi\.card\.yaml: score_maps: no class 'Hernia' \(known: Bright\)"):
        DetectorSession(path)


@pytest.mark.parametrize("line", [(0.0, 1.0), (-1.0, 0.0), (float("inf"), 0.0), (1.0, float("nan"))])
def test_a_map_that_turns_scores_round_is_refused(column_model, line):
    path = column_model()
    path.write_text(
        path.read_text()
        + f"score_maps: {{Bright: [{line[0]}, {line[1]}]}}\n".replace("inf", ".inf").replace("nan", ".nan")
    )
    with pytest.raises(
        ModelError, match=r"score_maps: .*the slope of 'Bright' must be above 0 and both numbers finite"
    ):
        DetectorSession(path)
