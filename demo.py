"""The web demo: `python demo.py [CONFIG.yaml] [--port N]` on this machine, `gunicorn demo:app` in production.

In production XRAY_DEMO_CONFIG names another configuration; relative paths start at the project.
"""

import os
import sys
from pathlib import Path

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.config.base import from_command_line, read_config
from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.web.app import create_app, serve

ROOT = Path(__file__).resolve().parent
CONFIG = ROOT / "configs" / "demo.yaml"

if __name__ == "__main__":
    with exit_on_error():
        arguments = sys.argv[1:]
        if not arguments or arguments[0].startswith("-"):
            arguments.insert(0, str(CONFIG))
        config = from_command_line(DemoConfig, arguments, prog="demo.py", description="Serve the web demo.")
        serve(create_app(config, root=ROOT), config, say=print)
else:
    app = create_app(read_config(DemoConfig, ROOT / os.environ.get("XRAY_DEMO_CONFIG", CONFIG)), root=ROOT)
