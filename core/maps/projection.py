"""Stable pictures of high-dimensional states: PCA and UMAP, registered, with their own doubts.

Same inputs, same picture: rows come in canonical order, every seed is fixed, and each layer's
picture is turned (never stretched) to lie over the anchor's by orthogonal Procrustes on the shared
rows. Each layout carries its trustworthiness and how many true neighbours it keeps.
"""

import json
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.runtime.made import Made, artefact
from core.runtime.progress import Report
from core.runtime.store import TABLE_FILE, Store, library_version
from core.statistics.bootstrap import Estimate
from core.statistics.neighbours import Metric, nearest, overlap, ranks

Method = Literal["pca", "umap"]
Points = NDArray[np.float32]

#: Neighbours by which a picture is judged.
JUDGED_NEIGHBOURS: Final = 10
#: Rows on which trustworthiness is computed at most: it needs all pairs.
JUDGED_ROWS: Final = 2000
#: Pictures of more points are judged by as many of them as the next, each among all points: a pass
#: over all pairs takes longer than the picture.
JUDGED_WHOLE: Final = 5000
SAMPLED: Final = 1000
#: Components handed to UMAP: 96 % of the variance, a third of the time.
UMAP_COMPONENTS: Final = 50

_FORMAT: Final = 2
_umap_lock = threading.Lock()


@dataclass(frozen=True)
class LayoutSpec:
    """How a picture is made."""

    method: Method = "pca"
    """Linear (PCA) or neighbour-keeping (UMAP)."""

    dims: Literal[2, 3] = 2
    """Dimensions of the picture."""

    neighbours: int = 15
    """UMAP: size of the neighbourhoods that are kept together."""

    min_dist: float = 0.1
    """UMAP: how tightly points may be packed, in [0, 1]."""

    seed: int = 0
    """UMAP: seed of its stochastic descent."""


class Trust(NamedTuple):
    """How far to trust a picture."""

    trustworthiness: float
    """Venna & Kaski 2001: 1 if no false neighbours are shown, about .5 by chance."""

    kept: float
    """Mean share of the true nearest neighbours that are near in the picture, in [0, 1]."""

    chance: float
    """The share that random placing would keep."""

    sampled: int = 0
    """Points drawn at random that were asked, each among all; 0: every point was, bar
    ``JUDGED_ROWS``."""

    trust_arm: float = 0.0
    """Half the 95 % interval of the trustworthiness over the draw of points."""

    kept_arm: float = 0.0
    """The same of the share kept."""

    @property
    def figures(self) -> tuple[Estimate, Estimate]:
        """Trustworthiness and share kept; with an interval where points were sampled, else NaN."""

        def ends(value: float, arm: float) -> Estimate:
            if not self.sampled:
                return Estimate(value, np.nan, np.nan)
            return Estimate(value, max(value - arm, 0.0), min(value + arm, 1.0))

        return ends(self.trustworthiness, self.trust_arm), ends(self.kept, self.kept_arm)

    @property
    def written(self) -> dict[str, float]:
        """What a file holds of it; read by ``Trust(**written)``."""
        known = self._asdict()
        return known if self.sampled else {name: known[name] for name in self._fields[:3]}


@dataclass(frozen=True, eq=False)
class Layout:
    """A finished picture."""

    points: Points
    """Coordinates, shape ``(n, dims)``: centred, root mean square radius 1."""

    trust: Trust
    """How far to trust it."""

    explained: float
    """Share of the variance in a PCA picture; NaN for UMAP."""

    linear: NDArray[np.float64] | None
    """PCA: matrix ``(d + 1, dims)`` that maps a state with a trailing 1 to the picture."""

    def place(self, states: NDArray[np.floating], known: NDArray[np.floating]) -> Points:
        """Place new states in the finished picture.

        PCA: exactly. UMAP: mean of the 15 nearest known states' places, weighted by closeness;
        such a picture can be trusted no further anyway.

        Args:
            states: New states, shape ``(m, d)``, not centred.
            known: States of the picture's rows, shape ``(n, d)``, not centred.
        """
        if self.linear is not None:
            return np.asarray(states @ self.linear[:-1] + self.linear[-1], np.float32)
        mean = known.mean(axis=0, dtype=np.float64)
        near, old = _unit(states - mean), _unit(known - mean)
        similarity = near @ old.T
        k = min(15, len(known))
        rows = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        weight = 1 / (1 - np.take_along_axis(similarity, rows, 1) + 1e-3)
        weight /= weight.sum(axis=1, keepdims=True)
        return np.asarray((self.points[rows] * weight[..., None]).sum(axis=1), np.float32)


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = rows / np.where(length > 0, length, 1)
    return unit


def register(points: NDArray[np.floating], anchor: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the rotation (or reflection) that turns ``points`` onto ``anchor``, ``(dims, dims)``.

    Orthogonal Procrustes (Schönemann 1966) on centred rows; a stretch is left out on purpose: it
    would shrink pictures that do not agree.

    Args:
        points: Shape ``(n, dims)``, centred.
        anchor: The same rows in the anchor's picture, shape ``(n, dims)``; NaN rows are skipped.
    """
    from scipy.linalg import orthogonal_procrustes

    shared = np.isfinite(anchor).all(axis=1)
    if shared.sum() < 2:
        return np.eye(points.shape[1])
    turned: NDArray[np.float64] = orthogonal_procrustes(
        points[shared] - points[shared].mean(axis=0), anchor[shared] - anchor[shared].mean(axis=0)
    )[0]
    return turned


def project(
    states: NDArray[np.floating],
    spec: LayoutSpec,
    *,
    metric: Metric = "cosine",
    anchor: NDArray[np.floating] | None = None,
    start_at_anchor: bool = True,
) -> Layout:
    """Make a picture of some states.

    Args:
        states: Different rows, shape ``(n, d)``, n at least 4, finite.
        spec: How.
        metric: What near means for UMAP and for the trust figures.
        anchor: The same rows in the picture this one is registered to, ``(n, dims)``.
        start_at_anchor: UMAP begins at the anchor's picture instead of PCA. Right between layers of
            one model; wrong towards the human map, whose structure would leak into the model's.

    Raises:
        ValueError: There are fewer than four rows, or a state is not finite.
    """
    if len(states) < 4:
        raise ValueError("a picture needs at least four different rows")
    if not np.isfinite(states).all():
        raise ValueError("states must be finite")
    mean = states.mean(axis=0, dtype=np.float64)
    moved = np.asarray(states - mean, np.float32)
    components, shares = principal_axes(moved, max(spec.dims, UMAP_COMPONENTS))
    reduced = moved @ components
    if spec.method == "pca":
        raw = np.zeros((len(states), spec.dims))
        width = min(spec.dims, components.shape[1])
        raw[:, :width] = reduced[:, :width]
    else:
        raw = _umap(reduced, spec, metric, anchor if start_at_anchor else None)
    shift = raw.mean(axis=0)
    scale = float(np.sqrt(((raw - shift) ** 2).sum(axis=1).mean())) or 1.0
    points = (raw - shift) / scale
    turn = np.eye(spec.dims) if anchor is None else register(points, anchor)
    points = np.asarray(points @ turn, np.float32)
    linear = None
    if spec.method == "pca":
        weights = np.zeros((states.shape[1], spec.dims))
        weights[:, :width] = components[:, :width]
        weights = weights @ turn / scale
        linear = np.vstack([weights, -(mean @ weights) - (shift @ turn) / scale])
    return Layout(
        points=points,
        trust=judge(moved, points, metric),
        explained=float(shares[: spec.dims].sum()) if spec.method == "pca" else float("nan"),
        linear=linear,
    )


def principal_axes(
    moved: NDArray[np.float32], wanted: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return principal axes ``(d, k)`` and their variance shares, signs fixed by the largest entry.

    Of a wide matrix only the leading axes are found, by a seeded randomised solver.
    """
    from sklearn.decomposition import PCA

    n, d = moved.shape
    wanted = min(wanted, n - 1, d)
    solver = "covariance_eigh" if d <= 1024 else "randomized"
    with np.errstate(invalid="ignore"):  # states that are all the same have no variance to share
        fitted = PCA(wanted, svd_solver=solver, random_state=0).fit(moved.astype(np.float64))
    axes = fitted.components_.T
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(wanted)]
    shares = np.nan_to_num(fitted.explained_variance_ratio_)
    return axes * np.where(largest < 0, -1.0, 1.0), shares


def _umap(
    reduced: NDArray[np.floating],
    spec: LayoutSpec,
    metric: Metric,
    anchor: NDArray[np.floating] | None,
) -> NDArray[np.float64]:
    """Run UMAP on exact neighbours, begun from the anchor's picture so that layers compare."""
    # It wants Tensorflow, and says that it cannot place new points; ``Layout.place`` does.
    warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
    warnings.filterwarnings("ignore", r"precomputed_knn\[2\]", UserWarning)
    import umap

    k = min(spec.neighbours, len(reduced) - 1)
    near = nearest(reduced, k - 1 if k > 2 else 1, metric=metric)
    own = np.arange(len(reduced))[:, None]  # UMAP counts each row as its own first neighbour
    rows = np.hstack([own, near.rows]).astype(np.int32)
    distance = np.hstack([np.zeros((len(reduced), 1)), near.distance]).astype(np.float32)
    start: Any = "pca"
    if anchor is not None and np.isfinite(anchor).all():
        start = np.asarray(anchor * 10 / np.abs(anchor).max(), np.float32)
    with _umap_lock:  # numba's threading layers do not all stand two fits at once
        fitted = umap.UMAP(
            n_neighbors=rows.shape[1],
            n_components=spec.dims,
            min_dist=spec.min_dist,
            metric=metric,
            init=start,
            random_state=spec.seed,
            n_jobs=1,
            force_approximation_algorithm=True,
            precomputed_knn=(rows, distance, None),
        ).fit_transform(np.asarray(reduced, np.float32))
    return np.asarray(fitted, np.float64)


def warm_up() -> None:
    """Let UMAP be imported and compiled: what a process's first picture would wait 5 s for."""
    some = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    _umap(some, LayoutSpec("umap"), "cosine", None)


def judged_by(points: int) -> dict[str, int]:
    """Return what the key of a picture of so many points says of who judges it: nothing if all."""
    return {"judged": SAMPLED} if points > JUDGED_WHOLE else {}


def judge(states: NDArray[np.floating], points: Points, metric: Metric) -> Trust:
    """Return how far a picture keeps the neighbourhoods of the states.

    Args:
        states: Shape ``(n, d)``.
        points: Shape ``(n, dims)``.
        metric: What near means among the states; in the picture it is Euclidean.
    """
    from sklearn.manifold import trustworthiness

    if judged_by(len(states)):
        return sampled_trust(states, points, metric, SAMPLED)
    true = nearest(states, JUDGED_NEIGHBOURS, metric=metric)
    shown = nearest(points, true.rows.shape[1], metric="euclidean")
    rows = np.arange(len(states))
    if len(rows) > JUDGED_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, JUDGED_ROWS, replace=False))
    k = min(JUDGED_NEIGHBOURS, (len(rows) - 1) // 2)
    return Trust(
        trustworthiness=float(
            trustworthiness(states[rows], points[rows], n_neighbors=k, metric=metric)
        ),
        kept=float(overlap(true.rows, shown.rows).mean()),
        chance=true.rows.shape[1] / (len(states) - 1),
    )


def sampled_trust(
    states: NDArray[np.floating], points: Points, metric: Metric, sample: int
) -> Trust:
    """Return the same by points drawn at random, whose neighbours are ranked among all points.

    Both figures are means over points, so those drawn estimate them without bias; the interval is
    that of a mean of draws without replacement.

    Args:
        states: Shape ``(n, d)``, n well above ``JUDGED_NEIGHBOURS``.
        points: Shape ``(n, dims)``.
        metric: What near means among the states; in the picture it is Euclidean.
        sample: Points that are drawn, fewer than n.
    """
    n, k = len(states), JUDGED_NEIGHBOURS
    drawn = np.sort(np.random.default_rng(0).choice(n, sample, replace=False))
    shown = nearest(points, k, metric="euclidean", of=drawn).rows
    rank = ranks(states, shown, drawn, metric=metric)
    trusted = 1 - 2 * np.maximum(rank - k, 0).sum(axis=1) / (k * (2 * n - 3 * k - 1))
    kept = (rank <= k).mean(axis=1)
    narrower = np.sqrt((1 - sample / n) / sample)
    arms = (1.959964 * float(each.std(ddof=1) * narrower) for each in (trusted, kept))
    return Trust(float(trusted.mean()), float(kept.mean()), k / (n - 1), sample, *arms)


def spread_ties(points: Points, *, spacing: float = 0.03) -> Points:
    """Move points that share one place apart, into a sunflower (or sphere) around it.

    Human moral vectors take few values, so hundreds of actions share one place; a picture must show
    how many. The order within a place is the order of the rows, so it is as stable as they are.

    Args:
        points: Shape ``(n, dims)``, dims 2 or 3.
        spacing: Distance between points that shared a place, in the picture's units. A place of
            ``m`` points gets the radius ``spacing * m ** (1 / dims)``.
    """
    _, number, count = np.unique(points.round(5), axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(number, kind="stable")
    rank = np.empty(len(points))
    rank[order] = np.concatenate([np.arange(size) for size in count])
    dims = points.shape[1]
    radius = np.where(count[number] > 1, spacing * (rank + 0.5) ** (1 / dims), 0.0)
    return np.asarray(points + radius[:, None] * _golden(rank, dims), np.float32)


def _golden(rank: NDArray[np.floating], dims: int) -> NDArray[np.float64]:
    """Return unit directions that fill a disc or sphere evenly (Vogel 1979), ``(n, dims)``."""
    angle = rank * np.pi * (3 - np.sqrt(5))
    if dims == 2:
        return np.column_stack([np.cos(angle), np.sin(angle)])
    height = 1 - 2 * ((rank * 0.7548776662466927) % 1)  # low-discrepancy, independent of the radius
    ring = np.sqrt(np.maximum(1 - height**2, 0))
    return np.column_stack([ring * np.cos(angle), ring * np.sin(angle), height])


# --- kept on disk ---


def layout_key(
    spec: LayoutSpec, source: dict[str, Any], anchor: str, points: int
) -> dict[str, Any]:
    """Return the content key of a layout.

    Args:
        spec: How it is made.
        source: Key of the states.
        anchor: Digest that identifies the anchor's picture, empty if there is none.
        points: How many different points it shows.
    """
    libraries = ("scikit-learn", "umap-learn") if spec.method == "umap" else ("scikit-learn",)
    return {
        "format": _FORMAT,
        "source": source,
        "spec": asdict(spec),
        "anchor": anchor,
        "versions": {name: library_version(name) for name in libraries},
        **judged_by(points),
    }


def kept_layout(
    store: Store, key: Mapping[str, Any], make: Callable[[Report], Layout]
) -> Made[Layout]:
    """Return a layout under its content key."""
    return artefact(store, "layout", key, read=_read, write=_write, make=make)


def _write(folder: Path, layout: Layout) -> None:
    facts = {
        **layout.trust.written,
        "explained": layout.explained,
        "linear": None if layout.linear is None else layout.linear.ravel().tolist(),
    }
    table = pa.table(
        {
            axis: layout.points[:, column]
            for column, axis in enumerate("xyz"[: layout.points.shape[1]])
        }
    )
    table = table.replace_schema_metadata({"layout": json.dumps(facts)})
    pq.write_table(table, folder / TABLE_FILE, compression="zstd")


def _read(folder: Path) -> Layout:
    table = pq.read_table(folder / TABLE_FILE)
    facts = json.loads(table.schema.metadata[b"layout"])
    points = np.column_stack([column.to_numpy() for column in table.columns]).astype(np.float32)
    linear = facts["linear"]
    return Layout(
        points=points,
        trust=Trust(**{name: facts[name] for name in Trust._fields if name in facts}),
        explained=facts["explained"],
        linear=None if linear is None else np.reshape(linear, (-1, points.shape[1])),
    )
