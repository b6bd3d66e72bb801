"""How long a frame takes while a slider moves the built-in set's 1,640 points, and how long they
take to settle.

Run as a script: ``python tests/benchmarks/bench_stage.py [FRAMES]``. ``MORALSCOPE_CACHE`` (else
``/tmp/e2ecache``) is a cache in which the packaged model has read the set; the server that is
started here uses it. Headless Chromium paints by software on the CPUs that the server uses too, so
a laptop's browser is no slower. In each frame a slider is moved and the next frame awaited, on the
PCA map and on moral axes, on a UMAP, and on the PCA map three layers above the steered one:
``frame`` is the median time from frame to frame, ``slow`` the 95th percentile, ``work`` the median
time of the drawing alone; ``rate`` is frames a second over all of them. Where the map is a preview,
``settled`` is the median time from letting go to the points' lying where they belong, the morph of
300 ms among it. ``open`` is the time until the map stands, the server warm. All but the rate in
milliseconds. Prints one JSON line; targets are frames of at most 40 ms, by the median and over all
(25 a second), settling within 1,200 and opening within 3,000.
"""
# ruff: noqa: T201

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[2]
TARGETS = {"frame": 40.0, "settled": 1200.0, "open": 3000.0}
MAPS = {
    "pca": {},
    "axes": {"picture": "axes"},
    "umap": {"picture": "umap"},
    "above": {"seen": "15"},
}
#: Strengths that are let go of, in per cent: none at a knot.
RELEASED = (11, -17, 25, 31, -9, 14)
_FRAMES = """async ([slider, frames]) => {
    const next = () => new Promise(requestAnimationFrame);
    const times = [];
    await next();
    let before = await next();
    for (let frame = 0; frame < frames; frame++) {
        slider.value = Math.round(38 * Math.sin(frame / 9));
        slider.dispatchEvent(new Event("input"));
        const now = await next();
        times.push(now - before);
        before = now;
    }
    return times;
}"""
_SETTLED = """async ([slider, canvas, strength]) => {
    slider.value = strength;
    slider.dispatchEvent(new Event("input"));
    const start = performance.now();
    slider.dispatchEvent(new Event("change"));
    await new Promise(requestAnimationFrame);
    while (canvas.dataset.state !== "settled") await new Promise(requestAnimationFrame);
    return performance.now() - start;
}"""
_WORK = """async canvas => {
    const pen = CanvasRenderingContext2D.prototype, clear = pen.clearRect, text = pen.fillText;
    window.work = [];
    let start = 0;
    pen.clearRect = function (...box) { start = performance.now(); return clear.apply(this, box); };
    pen.fillText = function (...all) {  // the ruler's words are drawn last
        if (all[0] === "1 map width") window.work.push(performance.now() - start);
        return text.apply(this, all);
    };
}"""


def main() -> None:
    """Serve, drag, print."""
    from playwright.sync_api import sync_playwright

    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"MORALSCOPE_CACHE": "/tmp/e2ecache", **os.environ}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _await(url)
        with sync_playwright() as playwright:
            chromium = os.environ.get("MORALSCOPE_CHROMIUM") or shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            found = {name: _measured(browser, url, MAPS[name], frames) for name in MAPS}
            browser.close()
    finally:
        server.terminate()
        server.wait(10)
    met = all(
        one.get(name, 0) <= most and 1000 / one["rate"] <= TARGETS["frame"]
        for one in found.values()
        for name, most in TARGETS.items()
    )
    print(json.dumps({**found, "targets": TARGETS, "met": met}))


def _await(url: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("The server did not start.")


def _measured(browser: Any, url: str, query: dict[str, str], frames: int) -> dict[str, float]:
    _opened(browser, url, query)[0].close()  # what is made once, is made
    page, canvas, seconds = _opened(browser, url, query)
    canvas.evaluate(_WORK)
    slider = page.get_by_role("slider", name="harm ← → care", exact=True).element_handle()
    times = sorted(page.evaluate(_FRAMES, [slider, frames]))
    work = page.evaluate("window.work")
    found = {
        "frame": round(statistics.median(times), 1),
        "rate": round(1000 / statistics.mean(times), 1),
        "slow": round(times[int(0.95 * len(times))], 1),
        "work": round(statistics.median(work), 1),
        "frames": len(work),
        "open": round(1000 * seconds),
    }
    if canvas.get_attribute("data-state") != "exact":
        canvas, took = canvas.element_handle(), []
        for strength in RELEASED:
            took.append(page.evaluate(_SETTLED, [slider, canvas, strength]))
            page.locator("[data-test-script-state=notRunning]").first.wait_for()
        found["settled"] = round(statistics.median(took))
    page.close()
    return found


def _opened(browser: Any, url: str, query: dict[str, str]) -> tuple[Any, Any, float]:
    """Open the page; return it, its canvas and how long that took, in seconds."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(300_000)
    start = time.monotonic()
    page.goto(f"{url}/steer?{urlencode(query)}")
    canvas = page.locator("canvas[data-shift]")
    canvas.wait_for()
    seconds = time.monotonic() - start
    page.locator("[data-test-script-state=notRunning]").first.wait_for()
    page.wait_for_timeout(2000)
    return page, canvas, seconds


if __name__ == "__main__":
    main()
