"""How much one client, and all clients together, may ask of the server: rate, places, memory and time.

A film that takes too long cannot be stopped, as Python has no way to end a thread: its client gets an answer in time,
but the film keeps its place until it is done, so that no more than `films_at_once` are ever worked on.
"""

import contextlib
import functools
import ipaddress
import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Flask, Request, copy_current_request_context, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import GatewayTimeout, HTTPException, ServiceUnavailable, TooManyRequests
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response
from werkzeug.wsgi import get_input_stream

from xray_chest_detection.config.demo import MIB, DemoConfig

LOG = logging.getLogger(__name__)
LIMITED = ("api.predict", "pages.film")  # what decodes a film each time it is asked for
HEALTH = "api.healthz"
RETRY_AFTER_S = 5
MAX_CLIENTS = 10_000
_DEADLINE = "xray.deadline"
_CHUNK = 65_536
T = TypeVar("T")


class RateLimit:
    """A bucket of requests for each client, which fills up again at a steady rate. Safe to share among threads.

    Args:
        per_minute: Requests a minute, and the most that a client can have saved up.
        max_clients: Clients remembered; beyond that the one that asked longest ago is forgotten.
        now: A clock in seconds.
    """

    def __init__(
        self, per_minute: int, *, max_clients: int = MAX_CLIENTS, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._per_second = float(per_minute), per_minute / 60
        self._max_clients = max_clients
        self._now = now
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # what is left, and when it was counted; latest last

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str) -> float:
        """Take one request out of a client's bucket: 0, or the seconds until there is one again."""
        with self._lock:
            now = self._now()
            left, counted = self._buckets.pop(client, (self._most, now))
            left = min(self._most, left + (now - counted) * self._per_second)
            wait_s = 0.0 if left >= 1 else (1 - left) / self._per_second
            self._buckets[client] = (left if wait_s else left - 1, now)
            if len(self._buckets) > self._max_clients:
                del self._buckets[next(iter(self._buckets))]
        return wait_s


class Places:
    """The places in which films are worked on, and those in which they wait. Safe to share among threads.

    Args:
        at_once: Films worked on at the same time.
        waiting: Films that wait; further ones are refused at once.
        max_bytes: Bytes of all these requests together.
        time_limit_s: Seconds from the end of an upload to its answer.
    """

    def __init__(self, *, at_once: int, waiting: int, max_bytes: int, time_limit_s: float) -> None:
        self._at_once, self._most, self._max_bytes = at_once, at_once + waiting, max_bytes
        self.time_limit_s = time_limit_s
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="film")
        self._lock = threading.Lock()
        self._taken = self._bytes = self._late = 0

    def __len__(self) -> int:
        """Films in work and waiting."""
        return self._taken

    @property
    def stuck(self) -> bool:
        """Whether every film that is worked on is beyond the time limit."""
        return self._late >= self._at_once

    def work(self, job: Callable[[], T], *, size: int, receive: Callable[[], object] = lambda: None) -> T:
        """Do a job when it is its turn.

        Args:
            job: Done in a thread of its own.
            size: Bytes that it needs until it ends.
            receive: Gets the upload, in the thread of the caller; the place is taken before.

        Raises:
            ServiceUnavailable: There is no place, or not enough memory.
            GatewayTimeout: It is not done in time. When it has begun, its place stays taken until it ends.
        """
        self._enter(size)
        try:
            receive()
            # Its own list, emptied when it waits in vain: the pool keeps what is cancelled until a thread is free.
            waiting = [job]
            future = self._pool.submit(lambda: waiting.pop()())
        except BaseException:
            self._leave(size)
            raise
        future.add_done_callback(lambda _: self._leave(size))
        try:
            return future.result(self.time_limit_s)
        except TimeoutError:
            if future.done():  # just in time, or an error of the job itself
                return future.result()
            if future.cancel():
                waiting.clear()
            else:
                self._count_late(future)
        raise too_late(self.time_limit_s)

    def _enter(self, size: int) -> None:
        with self._lock:
            if self._taken >= self._most or (self._bytes and self._bytes + size > self._max_bytes):
                raise ServiceUnavailable(
                    f"{self._taken} films are being worked on or waiting, the most this server takes",
                    retry_after=RETRY_AFTER_S,
                )
            self._taken += 1
            self._bytes += size

    def _leave(self, size: int) -> None:
        with self._lock:
            self._taken -= 1
            self._bytes -= size

    def _count_late(self, future: Future[T]) -> None:
        with self._lock:
            self._late += 1
        LOG.warning("a film is not done after %g s; it keeps its place until it ends", self.time_limit_s)
        future.add_done_callback(self._no_longer_late)

    def _no_longer_late(self, _: Future[T]) -> None:
        with self._lock:
            self._late -= 1


def install(app: Flask, config: DemoConfig) -> None:
    """Put the limits of a configuration around the routes that decode films."""
    places = Places(
        at_once=config.films_at_once,
        waiting=config.max_queue,
        max_bytes=config.max_queue_mib * MIB,
        time_limit_s=config.time_limit_s,
    )
    app.extensions["places"] = places
    rate = None if config.rate_per_minute is None else RateLimit(config.rate_per_minute)

    @app.before_request
    def limit() -> None:
        if request.endpoint == HEALTH and places.stuck:
            raise ServiceUnavailable("every place is taken by a film that does not end; restart the demo")
        if rate is not None and request.endpoint in LIMITED:
            wait_s = math.ceil(rate.take(client_of(request)))
            if wait_s:
                raise TooManyRequests(
                    f"more than {config.rate_per_minute} films a minute from one address", retry_after=wait_s
                )

    app.after_request(drain)
    for endpoint in LIMITED:
        app.view_functions[endpoint] = _in_its_place(app.view_functions[endpoint], places)
    if config.trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # the way Flask's manual shows
            app.wsgi_app, x_for=config.trusted_proxies, x_proto=1, x_host=0, x_port=0, x_prefix=0
        )


def client_of(request: Request) -> str:
    """The address that a client is counted under: of IPv6 the network, as one client has all addresses of it."""
    text = request.remote_addr or ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return text
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


def drain(response: Response) -> Response:
    """Read the rest of a refused upload and forget it: a client that still sends would never see why it was refused."""
    if response.status_code >= HTTPStatus.BAD_REQUEST and request.content_length:
        stream = vars(request).get("stream") or get_input_stream(request.environ)
        with contextlib.suppress(OSError, HTTPException):
            for _ in range(2 * (request.max_content_length or 0) // _CHUNK):
                if not stream.read(_CHUNK):
                    break
    return response


def stop_if_late(request: Request) -> None:
    """Between two stages of the work on a film: end it when its client has been told that it took too long.

    Raises:
        GatewayTimeout: The time limit is over.
    """
    deadline, time_limit_s = request.environ.get(_DEADLINE, (math.inf, math.inf))
    if time.monotonic() > deadline:
        raise too_late(time_limit_s)


def too_late(time_limit_s: float) -> GatewayTimeout:
    """The error of a film that is not done in time."""
    return GatewayTimeout(
        f"the film was not done after {time_limit_s:g} s; send one with fewer pixels, or try again later"
    )


def _in_its_place(view: Callable[..., Any], places: Places) -> Callable[..., ResponseReturnValue]:
    @functools.wraps(view)
    def limited(**arguments: object) -> ResponseReturnValue:
        def receive() -> None:
            # A slow sender must not hold one of the few threads that decode.
            request.get_data(parse_form_data=True)
            request.environ[_DEADLINE] = (time.monotonic() + places.time_limit_s, places.time_limit_s)

        job: Callable[[], ResponseReturnValue] = copy_current_request_context(functools.partial(view, **arguments))
        return places.work(job, size=_declared_size(request), receive=receive)

    return limited


def _declared_size(request: Request) -> int:
    """Bytes of a request; one that does not say how many is taken for the largest."""
    if request.content_length is not None or request.method in ("GET", "HEAD"):
        return request.content_length or 0
    return request.max_content_length or 0
