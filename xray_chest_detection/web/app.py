"""The application factory and the local server."""

import logging
import socket
import traceback
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import IO

from flask import Flask, Request, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from xray_chest_detection.config.demo import MIB, DemoConfig
from xray_chest_detection.errors import ConfigError, ImageError
from xray_chest_detection.inference.registry import Registry
from xray_chest_detection.web import api, limits, pages, problems
from xray_chest_detection.web.gallery import Gallery
from xray_chest_detection.web.hub import ModelHub

LOG = logging.getLogger(__name__)
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class MemoryRequest(Request):
    """A request whose uploads stay in memory: by default large ones are spooled to a temporary file."""

    max_form_parts = 16

    def _get_file_stream(self, *_: object, **__: object) -> IO[bytes]:
        return BytesIO()


class MemoryFlask(Flask):
    """Flask that never writes an upload to disk."""

    request_class = MemoryRequest


def create_app(
    config: DemoConfig, *, root: Path | None = None, load: Callable[..., Registry] = Registry.load
) -> MemoryFlask:
    """Build the web demo.

    Models are loaded on first need, once per process: a server that forks its workers loads them in each worker.

    Args:
        config: What to serve.
        root: Folder that relative paths of the configuration start at; None is the working directory.
        load: Loads a folder of models; tests put a light one here.
    """
    root = root or Path.cwd()
    app = MemoryFlask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = config.max_upload_mib * MIB
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    hub = ModelHub(
        root / config.checkpoints,
        config.models,
        runtime=config.runtime,
        threads=config.threads,
        at_once=config.models_at_once,
        load=load,
    )
    gallery = Gallery([root / folder for folder in config.samples], max_pixels=config.max_pixels)
    app.register_blueprint(pages.blueprint(config, hub, gallery))
    app.register_blueprint(api.blueprint(config, hub, gallery))
    limits.install(app, config)
    app.register_error_handler(ImageError, problems.unreadable)
    app.register_error_handler(HTTPException, problems.refused)
    app.register_error_handler(Exception, _broken)
    app.after_request(_secure)
    app.extensions["models"] = hub
    for library in ("pydicom", "PIL"):  # their warnings quote the file
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    return app


def serve(app: Flask, config: DemoConfig, *, say: Callable[[str], object]) -> None:
    """Load the models, then serve on this machine until Ctrl-C.

    Args:
        app: The demo.
        config: Host and port.
        say: Takes the lines meant for the person at the terminal.

    Raises:
        ConfigError: The address cannot be used, for example because another program has the port.
    """
    hub: ModelHub = app.extensions["models"]
    with _listen(config.host, config.port) as listening:
        for name, message in hub.errors().items():
            say(f"model {name} is not served: {message}")
        say(f"{len(hub.cards())} of {len(config.models)} models loaded")
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        server = make_server(config.host, config.port, app, threaded=True, fd=listening.fileno())
        say(f"Serving on http://{config.host}:{config.port} (Ctrl-C ends it)")
        server.serve_forever()


def _listen(host: str, port: int) -> socket.socket:
    """The socket of the server; werkzeug would print two lines and leave when there is none to be had."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise ConfigError(f"{host}:{port}: cannot serve here ({reason}); give another --port or --host") from None


def _secure(response: Response) -> Response:
    response.headers.update(SECURITY_HEADERS)
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def _broken(error: Exception) -> ResponseReturnValue:
    """Log where it broke but not the message, which may quote a file name; tell the client nothing about the inside."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    LOG.error("%s in %s %s\n%s", type(error).__name__, request.method, request.url_rule, frames)
    return problems.refused(InternalServerError())
