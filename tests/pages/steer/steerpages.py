"""What tests of the steering page share."""

import json
import time
from typing import Any

from streamlit.util import calc_hash

WITHIN = 120
SHORT = {"tokens": "4", "samples": "1", "plain": "1"}


def settle(work: Any) -> None:
    """Wait until no job runs."""
    end = time.monotonic() + WITHIN
    while any(job.active for job in work.runner.jobs()) and time.monotonic() < end:
        time.sleep(0.02)


def arrived(app: Any, work: Any) -> Any:
    """Return the steering page to which a button led, once its model is open."""
    assert app.title[0].value == "Steer"
    settle(work)
    app._page_hash = calc_hash("steer")  # AppTest itself would run the page before again
    return app.run()


def charts(app: Any) -> dict[str, Any]:
    return {one.key: json.loads(one.proto.spec) for one in app.get("plotly_chart")}


def words(app: Any) -> str:
    shown = (*app.markdown, *app.caption, *app.info, *app.success, *app.subheader, *app.get("html"))
    return "\n".join(str(getattr(one, "value", None) or one.proto) for one in shown)


def answers(app: Any) -> Any:
    """Return the table of the read-outs; AppTest knows no keys of tables."""
    (table,) = [one.value for one in app.dataframe if "change" in one.value]
    return table


def write(app: Any, work: Any) -> Any:
    """Press Write, wait for the end, and show it."""
    app.button(key="write").click().run()
    settle(work)
    return app.run().run()
