"""Running exported models without torch."""

import os

# onnxruntime's wheels for Linux and macOS report usage to Microsoft and keep a device id below ~/.cache unless this is
# set before they are imported; a program that reads radiographs talks to nobody. Older builds know the second name.
for _switch in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"):
    os.environ.setdefault(_switch, "1")
