"""Maps as jobs of one workbench: every layer's picture, and a sentence of one's own."""

from core.activations.jobs import reading, with_states
from core.activations.prompts import Pooling
from core.activations.study import Study, has_picture
from core.maps.layouts import model_layout
from core.maps.placing import Placed, place_sentence
from core.maps.projection import LayoutSpec
from core.runtime.made import Made
from core.runtime.progress import Report
from core.runtime.runner import Job
from core.runtime.store import fingerprint
from core.statistics.scaling import Scaling
from core.workbench import Workbench


def layouts(
    work: Workbench, study: Study, pooling: Pooling, scaling: Scaling, spec: LayoutSpec
) -> Made[bool]:
    """Return whether every layer that has a picture is drawn, the anchor first."""
    read = reading(work, study)
    layers = list(dict.fromkeys((study.anchor, *study.plan.layers)))
    drawn = {
        layer: model_layout(work.store, study, layer, pooling, scaling, spec) for layer in layers
    }

    def missing() -> list[int]:
        return [
            layer
            for layer in layers
            if not drawn[layer].has()
            and not (read.has() and not has_picture(work.store, study, layer, pooling))
        ]

    def draw(report: Report) -> bool:
        wanted = missing()
        for number, layer in enumerate(wanted):
            report(number, len(wanted), f"drawing layers · {number} of {len(wanted)}")
            drawn[layer].get()
        return True

    return Made(
        "layouts",
        drawn[study.anchor].key,
        has=lambda: not missing(),
        open=lambda: None if missing() else True,
        make=with_states(read, draw),
        title=f"Drawing the {spec.dims}-D {spec.method.upper()} maps of {study.card.name}",
        needs=(read,),
    )


def sentence(work: Workbench, study: Study, text: str, pooling: Pooling, scaling: Scaling) -> Job:
    """Start (or join) the job that places a sentence among the items at every layer."""
    key = fingerprint(
        {
            **study.plan.base_key(),
            "items": study.items.digest,
            "sentence": text,
            "pooling": pooling,
            "scaling": scaling,
        }
    )
    present = work.runner.get(key)
    if present is not None and present.state == "done":
        return present

    def place(report: Report) -> Placed:
        model = work.shelf.get(study.card.spec, report)
        return place_sentence(work.store, study, model, text, pooling, scaling)

    return work.runner.submit(key, "Reading your sentence", place, urgent=True)
