"""The README's picture: the stage at rest, dragged, released, written and landed, as one animation.

Run as a script: ``python -m tests.browser.picture``. ``MORALSCOPE_CACHE`` (else ``/tmp/e2ecache``)
is a cache in which the packaged model has read the built-in set; the app itself is served from it
and a real browser does what a person would. Nothing is drawn that the page does not show.
"""
# ruff: noqa: T201

import io
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import served

TO = Path(__file__).resolve().parents[2] / ".readme" / "stage.webp"
SIZE = (960, 600)
ASKED = {
    "stage": "1",
    "prompt": "When I saw the old man fall in the street, I",
    "tokens": "32",
    "samples": "1",
    "temperature": "70",
}
#: Where the thumb is in each frame of the drag, as shares of the slider.
DRAG = (0.54, 0.58, 0.62, 0.66, 0.69, 0.715, 0.735)
LONG, SHORT, LAST = 1400, 110, 4000
WITHIN = 300_000


def frames(page: Page) -> list[tuple[Image.Image, int]]:
    """Drag, release and write; return screenshots with their durations in milliseconds."""
    taken: list[tuple[Image.Image, int]] = []

    def take(duration: int) -> None:
        seen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        taken.append((seen.resize(SIZE, Image.Resampling.LANCZOS), duration))

    def still() -> None:
        page.locator("[data-test-script-state=notRunning]").first.wait_for()
        page.wait_for_timeout(800)

    page.locator("canvas[data-shift]").wait_for()
    still()
    take(LONG)
    slider = page.get_by_role("slider", name="harm ← → care", exact=True)
    slider.hover()
    box = slider.bounding_box()
    if box is None:
        raise SystemExit("The slider is not in sight.")
    page.mouse.down()
    for share in DRAG:
        page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        page.wait_for_timeout(200)
        take(SHORT)
    page.mouse.up()
    still()
    take(LONG)
    slider.press(" ")
    page.get_by_text("token 12 of").first.wait_for()
    take(LONG)
    page.wait_for_function("globalThis.moralscopeStage.marks.length >= 2")
    still()
    take(LAST)
    return taken


def main() -> None:
    """Serve, record, write."""
    cache = Path(os.environ.get("MORALSCOPE_CACHE", "/tmp/e2ecache"))
    chromium = os.environ.get("MORALSCOPE_CHROMIUM") or shutil.which("chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        served(cache, Path(folder) / "log.txt") as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
        page.set_default_timeout(WITHIN)
        page.goto(f"{url}/steer?{urlencode(ASKED)}")
        first, *others = frames(page)
        browser.close()
    first[0].save(
        TO,
        save_all=True,
        append_images=[image for image, _ in others],
        duration=[first[1], *(duration for _, duration in others)],
        loop=0,
        quality=60,
        method=6,
    )
    print(f"{TO}: {TO.stat().st_size / 1000:.0f} kB, {1 + len(others)} frames")


if __name__ == "__main__":
    main()
