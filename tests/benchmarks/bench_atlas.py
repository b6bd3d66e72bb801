"""How long a frame of a flat map takes, for 1,640 and for 20,000 points.

Run as a script: ``python tests/benchmarks/bench_atlas.py [FRAMES]``. The component's own scripts
draw made points on a bare page in headless Chromium, which paints by software on the CPUs: a
laptop's browser is no slower. ``zoom``: the map is zoomed and moved in each frame; ``morph``: all
points move to other places, as from layer to layer; ``hover``: the mouse goes over points. Each is
the median time from frame to frame by ``requestAnimationFrame``, ``work`` the median time of the
drawing alone, in milliseconds. Prints one JSON line; the target is a frame of at most 40 ms.
"""
# ruff: noqa: T201

import json
import os
import shutil
import statistics
import sys
from typing import Any

import numpy as np

from core.foundations import FOUNDATIONS, POLES
from core.maps.landmarks import landmarks
from core.maps.projection import Trust
from core.maps.scene import Scene, held, scene_data
from core.maps.view import Colouring, Picture
from core.palette import FOUNDATION_COLOURS
from pages.shared.atlas import component

TARGET = 40.0
_PAGE = """<style>{css}</style><div style="width: 640px"><div class="atlas"></div></div>
<script type="module">{js}
window.mount = (data, held) => {{
    hold(held);
    const root = document.querySelector(".atlas");
    root.replaceChildren();
    window.map = new Chart(root);
    map.report = () => {{}};
    map.update(data);
}};
</script>"""
_RUN = """async ([what, frames, other]) => {
    const next = () => new Promise(requestAnimationFrame);
    const times = [], work = [], draw = map.draw;
    map.draw = function (now) {
        const start = performance.now();
        draw.call(this, now);
        work.push(performance.now() - start);
    };
    await next();
    let before = await next();
    for (let frame = 0; frame < frames; frame++) {
        if (what === "zoom") (map.zoomBy(1 + 0.04 * Math.sin(frame / 5)), map.pan(2, 1));
        else if (what === "hover") map.meet(map.nearest(50 + (frame * 7) % 500, 260), [50, 50]);
        else if (!map.morph) map.moveTo(frame % 2 ? map.begun : other, map.centres, 400);
        const now = await next();
        times.push(now - before);
        before = now;
    }
    map.draw = draw;
    return [times, work];
}"""


def made_scene(n: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a map of made points, as the page is given it, and its words."""
    rng = np.random.default_rng(0)
    foundation, pole = rng.integers(0, 5, n), rng.integers(0, 3, n)
    points = rng.normal(size=(n, 2)) + np.column_stack([np.cos(foundation), np.sin(foundation)])
    members = np.zeros((n, 10), bool)
    some = np.flatnonzero(pole < 2)
    members[some, 2 * foundation[some] + pole[some]] = True
    scene = Scene(
        Picture(points.astype(np.float32), Trust(0.9, 0.5, 0.1), 0.6, None),
        Colouring("Foundation", np.array(FOUNDATIONS)[foundation], dict(FOUNDATION_COLOURS)),
        np.array(POLES)[pole],
        centres=landmarks(points, members),
    )
    content = {"texts": ["An action of some length"] * n, "notes": ["care-harm"] * n}
    said = {"group": "bench", "title": "Bench", "alt": "Bench", "names": component.NAMES}
    sent = {"name": held(content), "kind": "words", "content": content}
    return scene_data(scene) | said | {"words": sent["name"]}, sent


def main() -> None:
    """Draw, measure, print."""
    from playwright.sync_api import sync_playwright

    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 120
    script = component.SCRIPT.partition("export default")[0]
    found: dict[str, Any] = {}
    with sync_playwright() as playwright:
        chromium = os.environ.get("MORALSCOPE_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for n in (1640, 20_000):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_content(_PAGE.format(css=component.STYLE, js=script))
            page.evaluate("([data, held]) => mount(data, held)", list(made_scene(n)))
            page.locator("canvas[data-drawn]").wait_for()
            page.evaluate("map.begun = map.target.slice()")
            other = np.random.default_rng(1).normal(size=2 * n).round(3).tolist()
            for what in ("zoom", "morph", "hover"):
                times, work = page.evaluate(_RUN, [what, frames, other])
                found[f"{what} {n}"] = {
                    "frame": round(statistics.median(times), 1),
                    "work": round(statistics.median(work), 1) if work else 0.0,
                }
            page.close()
        browser.close()
    met = all(one["frame"] <= TARGET for one in found.values())
    print(json.dumps({**found, "target": TARGET, "met": met}))


if __name__ == "__main__":
    main()
