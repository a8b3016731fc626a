"""The pure functions of the page, run in the Chromium that will run them."""

import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.web.browsing import Page, in_chromium
from xray_chest_detection import web

pytestmark = in_chromium

CARDIO, EFFUSION, ANY = "Cardiomegaly", "Effusion", "Finding"
HEART, HEART_TOO, LUNG = [20, 30, 40, 50], [22, 30, 42, 50], [70, 10, 90, 40]


@pytest.fixture(scope="module")
def shelf(browser: Any, static_address: str) -> Any:
    """A page of the same host as the modules."""
    page = browser.new_page()
    page.goto(static_address)
    yield page
    page.close()


def run(page: Page, module: str, code: str, given: Any = None) -> Any:
    return page.evaluate(
        f"async (given) => {{ const m = await import('./static/{module}.js'); return {code}; }}", given
    )


def mark(model: str, name: str, score: float, box: list[float], index: int = 0) -> dict[str, Any]:
    looks = {"letter": name[0], "colour": "#e69f00"}
    return {"id": f"{model}/{index}", "model": model, "class": name, "score": score, "box": box, **looks}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1),
        ([0, 0, 10, 10], [5, 0, 15, 10], 1 / 3),
        ([0, 0, 10, 10], [10, 0, 20, 10], 0),
        ([0, 0, 10, 10], [20, 20, 30, 30], 0),
    ],
)
def test_overlap_is_shared_area_over_joined_area(shelf: Page, a: list, b: list, expected: float) -> None:
    assert run(shelf, "agreement", "m.iou(...given)", [a, b]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([mark("a", CARDIO, 0.8, HEART)], [(CARDIO, "a")], id="one mark stands alone"),
        pytest.param(
            [mark("a", CARDIO, 0.8, HEART), mark("b", CARDIO, 0.9, HEART_TOO)], [(CARDIO, "ba")], id="same class"
        ),
        pytest.param(
            [mark("a", ANY, 0.95, HEART), mark("b", CARDIO, 0.9, HEART_TOO)],
            [(CARDIO, "ab")],
            id="a class-blind model shares, and the other one names the finding",
        ),
        pytest.param(
            [mark("a", EFFUSION, 0.8, HEART), mark("b", CARDIO, 0.9, HEART)],
            [(CARDIO, "b"), (EFFUSION, "a")],
            id="other classes at one place",
        ),
        pytest.param(
            [mark("a", EFFUSION, 0.8, HEART), mark("b", CARDIO, 0.9, HEART), mark("c", ANY, 0.1, HEART_TOO)],
            [(EFFUSION, "ac"), (CARDIO, "b")],
            id="a class-blind mark does not join two classes",
        ),
        pytest.param(
            [mark("a", CARDIO, 0.8, HEART), mark("b", CARDIO, 0.9, LUNG)], [(CARDIO, "b"), (CARDIO, "a")], id="apart"
        ),
        pytest.param(
            [mark("a", CARDIO, 0.8, HEART), mark("a", CARDIO, 0.7, HEART, 1), mark("b", CARDIO, 0.9, HEART)],
            [(CARDIO, "ba"), (CARDIO, "a")],
            id="at most one mark of each model",
        ),
        pytest.param(
            [mark("a", CARDIO, 0.99, LUNG), mark("a", CARDIO, 0.3, HEART, 1), mark("b", CARDIO, 0.2, HEART)],
            [(CARDIO, "ab"), (CARDIO, "a")],
            id="shared first",
        ),
    ],
)
def test_findings_are_the_marks_that_models_share(shelf: Page, marks: list, expected: list) -> None:
    code = "m.findingsOf(given).map(f => [f.class, f.members.map(mark => mark.model).join('')])"
    assert [tuple(row) for row in run(shelf, "agreement", code, marks)] == expected
    assert [tuple(row) for row in run(shelf, "agreement", code, marks[::-1])] == expected, "order of the marks"


@pytest.mark.parametrize(("shift", "shared"), [(17, True), (18, False)])
def test_marks_share_a_finding_from_an_overlap_of_0_4(shelf: Page, shift: float, shared: bool) -> None:
    marks = [mark("a", CARDIO, 0.8, [0, 0, 40, 10]), mark("b", CARDIO, 0.9, [shift, 0, 40 + shift, 10])]
    assert (40 - shift) / (40 + shift) >= 0.4 or not shared
    assert run(shelf, "agreement", "m.findingsOf(given).length", marks) == (1 if shared else 2)


def test_fused_boxes_are_means_weighted_by_score(shelf: Page) -> None:
    marks = [mark("a", CARDIO, 0.6, [10, 10, 20, 20]), mark("b", CARDIO, 0.2, [14, 10, 24, 20])]
    (melted,) = run(shelf, "agreement", "m.fused(m.findingsOf(given))", marks)
    assert melted["box"] == pytest.approx([11, 10, 21, 20])
    assert [member["model"] for member in melted["members"]] == ["a", "b"]


def card(**changes: Any) -> dict[str, Any]:
    classes = [{"name": name, "letter": name[0], "colour": "#e69f00"} for name in (CARDIO, EFFUSION)]
    return {
        "name": "a",
        "classes": classes,
        "operating_point": "shown from score 0.30",
        "thresholds": {"conf": 0.3, "per_class": {}},
        **changes,
    }


@pytest.mark.parametrize(
    ("per_class", "conf", "expected"),
    [
        ({}, None, [0.3, 0.5]),
        ({EFFUSION: 0.2}, None, [0.25, 0.3, 0.5]),
        ({EFFUSION: 0.6}, None, [0.3]),
        ({EFFUSION: 0.6}, 0.3, [0.3, 0.5]),
        ({}, 0.02, [0.02, 0.25, 0.3, 0.5]),
        ({}, 0.51, []),
    ],
)
def test_marks_are_cut_at_the_threshold_of_their_class(
    shelf: Page, per_class: dict, conf: float | None, expected: list[float]
) -> None:
    found = [(EFFUSION, 0.5), (CARDIO, 0.3), (EFFUSION, 0.25), (CARDIO, 0.02)]
    answer = {"models": {"a": [{"class": name, "score": score, "box": HEART} for name, score in found]}}
    cards = {"a": card(thresholds={"conf": 0.3, "per_class": per_class})}
    given = [answer, cards, {} if conf is None else {"a": conf}, {"models": [], "classes": []}]
    shown = run(shelf, "marks", "m.marksShown(...given)", given)
    assert sorted(mark["score"] for mark in shown["marks"]["a"]) == expected


def test_the_best_hundred_marks_of_a_model_are_shown(shelf: Page) -> None:
    marks = [{"class": CARDIO, "score": 0.9 - step / 1000, "box": HEART} for step in range(150)]
    given = [{"models": {"a": marks}}, {"a": card()}, {}, {"models": [], "classes": []}]
    shown = run(shelf, "marks", "m.marksShown(...given)", given)
    assert (len(shown["marks"]["a"]), shown["counts"]["a"]) == (100, 150)
    assert shown["marks"]["a"][-1]["score"] == marks[99]["score"]


POINT = {
    "conf": 0.3,
    "sensitivity": 0.414,
    "sensitivity_low": 0.33,
    "sensitivity_high": 0.49,
    "false_positives_per_image": 0.9,
}
CURVE = {
    "split": "test",
    "n_images": 152,
    "n_boxes": 93,
    "points": [POINT, {**POINT, "conf": 0.31, "sensitivity": 0.2, "false_positives_per_image": 0.031}],
}


@pytest.mark.parametrize(
    ("changes", "conf", "expected"),
    [
        ({}, None, "Tuned: shown from score 0.30."),
        ({}, 0.5, "Tuned: shown from score 0.30."),
        (
            {"operating_curve": CURVE},
            None,
            "at .30: finds 41 % [33–49] at 0.9 false marks/film (its test split, n = 152 films, 93 boxes)",
        ),
        (
            {"operating_curve": CURVE},
            0.31,
            "at .31: finds 20 % [33–49] at 0.03 false marks/film (its test split, n = 152 films, 93 boxes)",
        ),
        (
            {"operating_curve": {**CURVE, "points": [{**POINT, "sensitivity_low": None}]}},
            None,
            "at .30: finds 41 % at 0.9 false marks/film (its test split, n = 152 films, 93 boxes)",
        ),
        (
            {"operating_curve": {**CURVE, "points": [{**POINT, "sensitivity_low": 1, "sensitivity_high": 1}]}},
            None,
            "at .30: finds 41 % at 0.9 false marks/film (its test split, n = 152 films, 93 boxes)",
        ),
        (
            {"operating_curve": CURVE, "measured_on": "a twin that saw fewer films"},
            None,
            "at .30: finds 41 % [33–49] at 0.9 false marks/film (its twin, test split, n = 152 films, 93 boxes)",
        ),
        (
            {"operating_curve": CURVE, "thresholds": {"conf": 0.3, "per_class": {CARDIO: 0.2}}},
            None,
            "Tuned: shown from score 0.30.",
        ),
    ],
)
def test_a_threshold_is_described_by_the_curve_of_the_card(
    shelf: Page, changes: dict, conf: float | None, expected: str
) -> None:
    assert run(shelf, "curve", "m.knownAt(...given)", [card(**changes), conf]) == expected


STATE = "m.learned(m.initial(['a', 'b']), given.cards)"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("s", {}),
        ("m.moved(s, 'a', 0.45)", {"a": 0.45}),
        ("m.moved(s, 'a', 0.3)", {}),
        ("m.moved(m.moved(s, 'a', 0.45), 'a', 0.3)", {}),
        ("m.moved(s, 'a', 7)", {"a": 0.99}),
        ("m.moved(s, 'a', -7)", {"a": 0.02}),
        ("m.tuned(m.moved(s, 'a', 0.45), 'a')", {}),
        ("m.nudged(s, 0.01)", {"a": 0.31, "b": 0.24}),
        ("m.nudged(m.looked(s, 'b'), -0.01)", {"b": 0.22}),
        ("m.nudged(m.nudged(m.looked(s, 'a'), -0.01), 0.01)", {}),
    ],
)
def test_thresholds_move_and_come_back(shelf: Page, change: str, expected: dict[str, float]) -> None:
    cards = [card(), card(name="b", thresholds={"conf": 0.225, "per_class": {}})]
    code = f"(s => ({change}).conf)({STATE})"
    assert run(shelf, "state", code, {"cards": cards}) == expected


@pytest.mark.parametrize(
    ("change", "panels"),
    [
        ("s", ["a", "b"]),
        ("m.laidOut(s, 'one')", ["all"]),
        ("m.fusing(s, true)", ["all"]),
        ("m.looked(m.fusing(s, true), 'a')", ["a"]),
        ("m.switchedModel(s, 'a')", ["b"]),
        ("m.looked(m.switchedModel(s, 'a'), 'a')", ["a"]),
        ("m.switchedModel(m.looked(s, 'a'), 'a')", ["b"]),
        ("m.switchedModel(m.switchedModel(s, 'a'), 'b')", ["all"]),
        ("m.resized(s, true)", ["a"]),
        ("m.resized(m.switchedModel(s, 'a'), true)", ["b"]),
        ("m.looked(m.resized(s, true), null)", ["all"]),
        ("m.resized(m.resized(s, true), false)", ["a", "b"]),
    ],
)
def test_switches_decide_which_films_are_seen(shelf: Page, change: str, panels: list[str]) -> None:
    assert run(shelf, "state", f"(s => m.panelsOf({change}))({STATE})", {"cards": []}) == panels


def test_the_server_is_asked_from_the_lowest_threshold_there_is(shelf: Page) -> None:
    assert run(shelf, "state", "m.askFrom(given)", {"a": card()}) == 0.02
    low = card(thresholds={"conf": 0.3, "per_class": {CARDIO: 0.01}})
    assert run(shelf, "state", "m.askFrom(given)", {"a": low}) == 0.01


SIZE, BOUNDS = {"width": 100, "height": 200}, {"width": 400, "height": 400}


def test_zooming_keeps_the_place_under_the_pointer(shelf: Page) -> None:
    code = """(() => { const point = {x: 210, y: 160};
        const at = view => { const f = m.frame(view, ...given);
        return [(point.x - f.left) / f.scale, (point.y - f.top) / f.scale]; };
        const near = m.zoomed(m.FIT, 4, point, ...given); return [at(m.FIT), at(near), near.zoom]; })()"""
    before, after, zoom = run(shelf, "view", code, [SIZE, BOUNDS])
    assert after == pytest.approx(before)
    assert zoom == 4


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("m.FIT", {"zoom": 1, "x": 0.5, "y": 0.5}),
        ("m.panned(m.FIT, 90, 90, ...given)", {"zoom": 1, "x": 0.5, "y": 0.5}),
        ("m.zoomed(m.FIT, 0.1, {x: 0, y: 0}, ...given)", {"zoom": 1, "x": 0.5, "y": 0.5}),
        ("m.zoomed(m.FIT, 1000, {x: 200, y: 200}, ...given)", {"zoom": 16, "x": 0.5, "y": 0.5}),
        ("m.panned({zoom: 4, x: 0.5, y: 0.5}, 80, -80, ...given)", {"zoom": 4, "x": 0.4, "y": 0.55}),
        ("m.panned({zoom: 4, x: 0.5, y: 0.5}, 1e6, -1e6, ...given)", {"zoom": 4, "x": 0.25, "y": 0.875}),
    ],
)
def test_the_film_never_leaves_its_panel(shelf: Page, code: str, expected: dict[str, float]) -> None:
    assert run(shelf, "view", code, [SIZE, BOUNDS]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("light", "black", "white"),
    [
        ({"level": 0.5, "width": 1, "invert": False}, 0, 1),
        ({"level": 0.5, "width": 1, "invert": True}, 1, 0),
        ({"level": 0.5, "width": 0.5, "invert": False}, -0.5, 1.5),
        ({"level": 0.25, "width": 0.5, "invert": False}, 0, 2),
        ({"level": 0.25, "width": 0.5, "invert": True}, 1, -1),
    ],
)
def test_a_window_is_a_line_over_the_greys(shelf: Page, light: dict, black: float, white: float) -> None:
    line = run(shelf, "light", "m.transfer(given)", light)
    assert line["intercept"] == pytest.approx(black)
    assert line["slope"] + line["intercept"] == pytest.approx(white)


@pytest.mark.parametrize(
    ("source", "fields", "expected"),
    [
        ({"name": "chest.png"}, [], "curl -F file=@chest.png http://x/p"),
        ({"name": "my film.png"}, [["conf_a", "0.3"]], "curl -F 'file=@my film.png' -F conf_a=0.3 http://x/p"),
        ({"name": "it's.png"}, [], "curl -F 'file=@it'\\''s.png' http://x/p"),
        ({"name": 'a;b"c.png'}, [], 'curl -F \'file=@"a;b\\"c.png"\' http://x/p'),
        ({"name": "$(rm).png"}, [], "curl -F 'file=@$(rm).png' http://x/p"),
        ({"sample": "chest-cr"}, [["models", "a,b"]], "curl -F sample=chest-cr -F models=a,b http://x/p"),
    ],
)
def test_the_command_line_survives_odd_names(shelf: Page, source: dict, fields: list, expected: str) -> None:
    assert run(shelf, "request", "m.curlLine('http://x/p', ...given)", [source, fields]) == expected


def test_a_store_tells_its_listeners_once_a_frame(shelf: Page) -> None:
    code = """new Promise(resolve => { const seen = []; const store = m.createStore(0);
        store.listen(value => seen.push(value));
        for (let i = 0; i < 5; i += 1) store.change(value => value + 1);
        requestAnimationFrame(() => requestAnimationFrame(() => resolve(seen))); })"""
    assert run(shelf, "store", code) == [5]


def test_what_was_computed_is_kept_until_an_argument_changes(shelf: Page) -> None:
    code = """(() => { let calls = 0; const sum = m.memo((a, b) => { calls += 1; return a + b; });
        return [sum(1, 2), sum(1, 2), sum(1, 3), calls]; })()"""
    assert run(shelf, "store", code) == [3, 3, 4, 2]


@pytest.mark.parametrize(("colour", "ink"), [("#0072b2", "#fff"), ("#f0e442", "#000"), ("#ffffff", "#000")])
def test_letters_are_legible_on_their_colour(shelf: Page, colour: str, ink: str) -> None:
    assert run(shelf, "dom", "m.inkOn(given)", colour) == ink


def test_every_module_is_fetched_at_once(client: FlaskClient) -> None:
    page = client.get("/").text
    modules = {path.name for path in (Path(web.__file__).parent / "static").glob("*.js")} - {"main.js", "theme.js"}
    assert set(re.findall(r'rel="modulepreload" href="/static/([^"]+)"', page)) == modules
