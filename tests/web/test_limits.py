import gc
import runpy
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask, Request
from flask.testing import FlaskClient
from werkzeug.exceptions import GatewayTimeout, ServiceUnavailable
from werkzeug.test import EnvironBuilder, TestResponse

from xray_chest_detection.config.base import read_config
from xray_chest_detection.config.demo import MIB, DemoConfig
from xray_chest_detection.web.app import create_app
from xray_chest_detection.web.limits import Places, RateLimit, client_of

PROJECT = Path(__file__).parents[2]
PATIENCE_S = 20


class Door:
    """A job that has begun when `begun` is set and ends when `open` is set."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.open.wait(PATIENCE_S)
        return "done"


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.open.set()


@pytest.fixture
def slow_decoder(monkeypatch: pytest.MonkeyPatch, door: Door) -> Door:
    """Holds every film up before it is decoded."""
    from xray_chest_detection.web import uploads

    decode = uploads.decode_image

    def held(*content: bytes, **options: object) -> object:
        door()
        return decode(*content, **options)

    monkeypatch.setattr(uploads, "decode_image", held)
    return door


def in_background(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """A thread that does the work, and a list for what it returns or raises."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.005)


def send(app: Flask, content: bytes, **options: object) -> TestResponse:
    return app.test_client().post("/api/v1/predict", data=content, content_type="image/png", **options)


def problem(response: TestResponse) -> tuple[int, str, str | None]:
    assert response.content_type == "application/problem+json"
    return response.status_code, response.get_json()["detail"], response.headers.get("Retry-After")


def test_a_bucket_gives_what_was_saved_up_and_then_its_rate() -> None:
    now = [0.0]
    rate = RateLimit(3, now=lambda: now[0])
    assert [rate.take("a") for _ in range(5)] == [0, 0, 0, 20, 20]
    assert rate.take("b") == 0
    now[0] = 15.0
    assert rate.take("a") == pytest.approx(5)
    now[0] = 20.0
    assert [rate.take("a"), rate.take("a")] == [0, 20]
    now[0] = 10_000.0
    assert [rate.take("a") for _ in range(4)] == [0, 0, 0, 20]


def test_no_more_clients_are_remembered_than_allowed() -> None:
    rate = RateLimit(1, max_clients=100, now=lambda: 0.0)
    for number in range(100_000):
        rate.take(str(number))
        rate.take("who asks all the time")
    assert len(rate) == 100
    assert rate.take("who asks all the time") == 60


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        (None, ""),
        ("x" * 999, "x" * 64),
    ],
)
def test_a_client_is_an_address_or_a_network(address: str | None, client: str) -> None:
    environ = EnvironBuilder().get_environ() | ({} if address is None else {"REMOTE_ADDR": address})
    assert client_of(Request(environ)) == client


def test_the_last_film_over_the_rate_gets_429_before_it_is_read(root: Path, png: bytes) -> None:
    app = create_app(DemoConfig(threads=1, rate_per_minute=2), root=root)
    assert [send(app, png).status_code for _ in range(2)] == [200, 200]
    status, detail, wait_s = problem(send(app, png))
    assert (status, detail) == (429, "more than 2 films a minute from one address")
    assert 0 < int(wait_s or 0) <= 30
    client = app.test_client()
    assert client.get("/samples/chest-cr/film").status_code == 429
    assert [client.get(path).status_code for path in ("/", "/healthz", "/samples/chest-cr/thumb")] == [200] * 3


@pytest.mark.parametrize(
    ("trusted", "headers", "statuses"),
    [
        (0, ["1.1.1.1", "2.2.2.2", "3.3.3.3"], [200, 429, 429]),
        (1, ["1.1.1.1", "2.2.2.2", "1.1.1.1"], [200, 200, 429]),
        (1, ["9.9.9.9, 1.1.1.1", "8.8.8.8, 1.1.1.1", "7.7.7.7, 2.2.2.2"], [200, 429, 200]),
        (2, ["9.9.9.9, 1.1.1.1, 5.5.5.5", "8.8.8.8, 1.1.1.1, 5.5.5.5", "2.2.2.2, 5.5.5.5"], [200, 429, 200]),
    ],
    ids=["none", "one", "one, and a client who lies", "two, and a client who lies"],
)
def test_only_the_word_of_trusted_proxies_counts(
    root: Path, png: bytes, trusted: int, headers: list[str], statuses: list[int]
) -> None:
    app = create_app(DemoConfig(threads=1, rate_per_minute=1, trusted_proxies=trusted), root=root)
    assert [send(app, png, headers={"X-Forwarded-For": value}).status_code for value in headers] == statuses


def test_films_beyond_the_queue_are_refused_at_once(root: Path, png: bytes, slow_decoder: Door) -> None:
    app = create_app(DemoConfig(threads=1, films_at_once=1, max_queue=2), root=root)
    app.extensions["models"].registry()
    running = [in_background(lambda: send(app, png).status_code) for _ in range(3)]
    until(lambda: len(app.extensions["places"]) == 3)
    status, detail, wait_s = problem(send(app, png))
    assert (status, wait_s) == (503, "5")
    assert detail == "3 films are being worked on or waiting, the most this server takes"
    assert app.test_client().get("/healthz").status_code == 200
    slow_decoder.open.set()
    for thread, _ in running:
        thread.join()
    assert [results for _, results in running] == [[200]] * 3
    assert len(app.extensions["places"]) == 0
    assert send(app, png).status_code == 200


def test_uploads_in_work_and_waiting_share_their_memory(door: Door) -> None:
    places = Places(at_once=1, waiting=9, max_bytes=100, time_limit_s=PATIENCE_S)
    thread, results = in_background(lambda: places.work(door, size=90))
    door.begun.wait(PATIENCE_S)
    with pytest.raises(ServiceUnavailable, match="1 films are being worked on"):
        places.work(lambda: "large", size=11)
    waiting, more = in_background(lambda: places.work(lambda: "small", size=10))
    door.open.set()
    thread.join()
    waiting.join()
    assert (results, more) == (["done"], ["small"])
    assert places.work(lambda: "larger than all, but alone", size=1_000)


def test_a_request_that_does_not_say_its_size_counts_as_the_largest(root: Path, png: bytes, slow_decoder: Door) -> None:
    app = create_app(DemoConfig(threads=1, max_upload_mib=8, max_queue_mib=8), root=root)
    thread, results = in_background(lambda: send(app, png).status_code)
    slow_decoder.begun.wait(PATIENCE_S)
    chunked = app.test_client().post(
        "/api/v1/predict", input_stream=None, headers={"Transfer-Encoding": "chunked"}, content_type="image/png"
    )
    slow_decoder.open.set()
    thread.join()
    assert chunked.status_code == 503
    assert results == [200]


def test_a_late_film_keeps_its_place_until_it_ends(door: Door) -> None:
    places = Places(at_once=1, waiting=1, max_bytes=MIB, time_limit_s=0.05)
    with pytest.raises(GatewayTimeout, match=r"the film was not done after 0\.05 s; send one with fewer pixels"):
        places.work(door, size=1)
    assert places.stuck
    with pytest.raises(GatewayTimeout):  # it waited in vain, and gave its place back
        places.work(lambda: "never begun", size=1)
    thread, _ = in_background(lambda: places.work(lambda: "waits", size=1))
    door.open.set()
    thread.join()
    until(lambda: not places.stuck)
    assert places.work(lambda: "next", size=1) == "next"


def test_a_film_that_waited_in_vain_is_forgotten_while_the_others_go_on(door: Door) -> None:
    places = Places(at_once=1, waiting=1, max_bytes=MIB, time_limit_s=0.05)
    film = Door()
    kept = weakref.ref(film)
    for job in (door, film):
        with pytest.raises(GatewayTimeout):
            places.work(job, size=1)
    del job, film
    gc.collect()
    assert places.stuck
    assert kept() is None


def test_the_next_stage_of_a_late_film_does_not_begin(
    root: Path, png: bytes, slow_decoder: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(DemoConfig(threads=1, films_at_once=1, time_limit_s=0.2), root=root)
    app.extensions["models"].registry()
    seen: list[str] = []
    monkeypatch.setattr("xray_chest_detection.web.api.detect_radiograph", lambda *_, **__: seen.append("looked") or {})
    status, detail, _ = problem(send(app, png))
    assert status == 504
    assert detail.startswith("the film was not done after 0.2 s")
    health = app.test_client().get("/healthz")
    assert (health.status_code, health.content_type) == (503, "application/problem+json")
    slow_decoder.open.set()
    until(lambda: app.test_client().get("/healthz").status_code == 200)
    assert seen == []


def test_an_upload_that_breaks_off_gives_its_place_back() -> None:
    places = Places(at_once=1, waiting=0, max_bytes=MIB, time_limit_s=PATIENCE_S)

    def breaks_off() -> None:
        raise ConnectionError("gone")

    for _ in range(3):
        with pytest.raises(ConnectionError):
            places.work(lambda: "never", size=1, receive=breaks_off)
    assert places.work(lambda: "next", size=1) == "next"


def test_a_time_out_inside_the_work_is_its_own_error() -> None:
    places = Places(at_once=1, waiting=0, max_bytes=MIB, time_limit_s=PATIENCE_S)

    def fails() -> None:
        raise TimeoutError("of a socket, say")

    with pytest.raises(TimeoutError, match="of a socket"):
        places.work(fails, size=1)


def test_the_server_has_a_thread_for_every_film_and_some_for_pages() -> None:
    config = read_config(DemoConfig, PROJECT / "configs" / "demo.yaml")
    settings = runpy.run_path(str(PROJECT / "gunicorn.conf.py"))
    assert settings["threads"] >= config.films_at_once + config.max_queue + 4
    assert settings["timeout"] > config.time_limit_s


def test_limits_can_be_switched_off(root: Path, png: bytes) -> None:
    client: FlaskClient = create_app(DemoConfig(threads=1, rate_per_minute=None), root=root).test_client()
    assert {client.get("/samples/chest-cr/film").status_code for _ in range(65)} == {200}
