"""`make screenshots`: the pictures of the page in readme_images/, of the models in checkpoints/ in a real Chromium."""

import logging
import shutil
import sys
import threading
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import make_server

from demo import app
from xray_chest_detection.core.files import atomic_path

OUT = Path(__file__).resolve().parent.parent / "readme_images"
WIDE, PHONE = (1440, 900), (390, 844)  # CSS pixels
PICTURES = {"page": (WIDE, "chest-cr-15bit-monochrome1"), "page_phone": (PHONE, "synthetic-several-findings")}


def main() -> int:
    """Draw every picture; the exit status is 1 without a Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("error: no Chromium on this machine; install it (Debian: apt-get install chromium)", file=sys.stderr)
        return 1
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, (size, sample) in PICTURES.items():
            _shoot(browser, f"http://127.0.0.1:{server.server_port}", size, sample, OUT / f"{name}.png")
        browser.close()
    server.shutdown()
    return 0


def _shoot(browser: Browser, address: str, size: tuple[int, int], sample: str, out: Path) -> None:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce")
    page.set_default_timeout(60_000)
    page.goto(address)
    page.wait_for_selector("main[data-ready]")
    page.click(f'[data-sample="{sample}"]')
    page.wait_for_selector('main[data-state="result"]')
    page.mouse.move(4, 4)  # away from the sample, whose frame would be drawn thicker
    page.wait_for_timeout(500)
    with atomic_path(out) as temporary:
        temporary.write_bytes(page.screenshot())
    page.close()
    print(out)


if __name__ == "__main__":
    sys.exit(main())
