"""A latent's passport as figures: activations, labels, directions, effects, with controls."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.features.dashboard import Dashboard
from core.features.effect import Effect, Tried
from core.foundations import DIMENSIONS, FOUNDATIONS, POLES
from core.palette import CHANCE, CONTROL, FOUNDATION_COLOURS, MODEL, OWN, POLE_SYMBOLS
from core.statistics.bootstrap import Estimate

_ROW: Final = 27
#: Ticks of shares of texts: few enough for a phone.
_SHARES: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1)
_COLOURS: Final = tuple(
    FOUNDATION_COLOURS[FOUNDATIONS[number // 2]] for number in range(len(DIMENSIONS))
)
_SYMBOLS: Final = tuple(POLE_SYMBOLS[POLES[number % 2]] for number in range(len(DIMENSIONS)))


def activation_figure(passport: Dashboard) -> go.Figure:
    """Draw how often the latent is on how strongly, with its deciles as ticks below."""
    middles = (passport.edges[1:] + passport.edges[:-1]) / 2
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=passport.counts,
            width=np.diff(passport.edges),
            marker={"color": MODEL},
            hovertemplate="activation %{x:.3g}<br>%{y:,} tokens<extra></extra>",
            name="tokens",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=passport.deciles,
            y=np.full(len(passport.deciles), 0.72),
            mode="markers",
            marker={"symbol": "line-ns-open", "size": 9, "color": OWN, "line": {"width": 2}},
            customdata=np.linspace(0, 100, len(passport.deciles)),
            hovertemplate="%{customdata:.0f} % of its tokens lie below %{x:.3g}<extra></extra>",
            name="deciles",
        )
    )
    _plain(figure, 230)
    figure.update_layout(bargap=0.02)
    figure.update_xaxes(title="activation, where it is on", rangemode="tozero")
    figure.update_yaxes(
        title="tokens", type="log", dtick=1, range=[-0.25, _decades(passport.counts)]
    )
    return figure


def _decades(counts: NDArray[np.int64]) -> float:
    return float(np.log10(max(int(counts.max()), 1))) + 0.25


def correlation_figure(passport: Dashboard) -> go.Figure:
    """Draw the rank correlation with each dimension, interval and the band of shuffled labels."""
    own, null = passport.correlation, passport.shuffled
    bands = [(one.low, one.high) for one in null]
    figure = _rows(own, bands, "shuffled labels, 95 %")
    figure.update_xaxes(title=f"rank correlation, {passport.n_held_out:,} held-out texts")
    return figure


def centres_figure(passport: Dashboard) -> go.Figure:
    """Draw the cosine with each pole's direction beside the band of all other latents."""
    own = [Estimate(value, np.nan, np.nan) for value in passport.centres]
    bands = [(low, high) for low, high in passport.centre_bands]
    figure = _rows(own, bands, "95 % of all latents")
    figure.update_xaxes(title="cosine with the direction of each pole")
    return figure


def latents_figure(table: pd.DataFrame, chosen: int | None = None) -> go.Figure:
    """Draw latents by how often they are on and how well they tell members from other texts.

    Args:
        table: As ``view.latents`` returns it; its latents travel as customdata.
        chosen: A latent to ring.
    """
    figure = go.Figure()
    value = table["membership test"].fillna(table["membership"]).to_numpy(np.float64)
    for number, name in enumerate(DIMENSIONS):
        rows = np.flatnonzero(table["dimension"].to_numpy() == name)
        if len(rows):
            figure.add_trace(_latents(table.iloc[rows], value[rows], number, name))
    for row in np.flatnonzero(table["latent"].to_numpy() == (-1 if chosen is None else chosen)):
        figure.add_trace(
            go.Scatter(
                x=[table["density"].iloc[row]],
                y=[value[row]],
                mode="markers",
                marker={"symbol": "circle-open", "size": 20, "color": OWN, "line": {"width": 3}},
                hoverinfo="skip",
                name="chosen",
            )
        )
    _plain(figure, 380)
    figure.add_hline(y=0.5, line={"width": 1, "color": CONTROL, "dash": "dot"}, layer="below")
    figure.update_xaxes(title="share of texts on which it is on", type="log")
    figure.update_xaxes(**_share_ticks(table["density"].to_numpy(np.float64)))
    figure.update_yaxes(title="AUROC of its dimension, held-out texts")
    return figure


def _share_ticks(density: NDArray[np.float64]) -> dict[str, Any]:
    """Return ticks that are few on a wide range, and enough on a narrow one."""
    on = density[density > 0]
    if len(on) and on.max() < 10 * on.min():
        return {"tickformat": "~%", "nticks": 5}
    names = [f"{100 * share:g} %" for share in _SHARES]
    return {"tickvals": _SHARES, "ticktext": names}


def _latents(rows: pd.DataFrame, value: NDArray[np.float64], number: int, name: str) -> Any:
    low, high = (rows[f"membership {end}"].to_numpy(np.float64) for end in ("low", "high"))
    return go.Scatter(
        x=rows["density"],
        y=value,
        mode="markers",
        marker={
            "color": _COLOURS[number],
            "symbol": _SYMBOLS[number],
            "size": 9,
            "line": {"width": 1.5},
        },
        error_y={**_whiskers(value, low, high), "thickness": 1, "color": "rgba(128,128,128,.45)"},
        customdata=rows["latent"],
        text=rows["kind"],
        hovertemplate=f"latent %{{customdata}} · {name} · %{{text}}<br>AUROC %{{y:.2f}}, on in "
        "%{x:.1%} of texts<extra></extra>",
        name=name,
    )


def _rows(own: Sequence[Estimate], bands: Sequence[tuple[float, float]], control: str) -> go.Figure:
    """Draw ten rows: a grey bar for the control, a marker with its interval above it."""
    figure = go.Figure()
    places = np.arange(len(DIMENSIONS))
    low, high = np.array(bands, np.float64).T
    figure.add_trace(
        go.Bar(
            base=low,
            x=high - low,
            y=places,
            orientation="h",
            width=0.62,
            marker={"color": CHANCE},
            hovertemplate=f"{control}: %{{base:.3f}} to %{{customdata:.3f}}<extra></extra>",
            customdata=high,
            name=control,
        )
    )
    value, lower, upper = np.array(own, np.float64).T
    figure.add_trace(
        go.Scatter(
            x=value,
            y=places,
            mode="markers",
            marker={"color": _COLOURS, "symbol": _SYMBOLS, "size": 10, "line": {"width": 2}},
            error_x=_whiskers(value, lower, upper),
            text=DIMENSIONS,
            hovertemplate="%{text}: %{x:.3f}<extra></extra>",
            name="this latent",
        )
    )
    _plain(figure, 70 + _ROW * len(DIMENSIONS))
    figure.add_vline(x=0, line={"width": 1, "color": CONTROL}, layer="below")
    figure.update_yaxes(
        tickvals=places, ticktext=DIMENSIONS, range=[len(DIMENSIONS) - 0.4, -0.6], showgrid=False
    )
    return figure


def effect_figure(effect: Effect) -> go.Figure:
    """Draw both experiments: each control a grey ring, the latent itself with interval."""
    figure = go.Figure()
    names = ("switched off", "steered")
    for place, tried in enumerate((effect.ablation, effect.steering)):
        _experiment(figure, place, tried)
    _plain(figure, 190)
    figure.add_vline(x=0, line={"width": 1, "color": CONTROL}, layer="below")
    figure.update_yaxes(tickvals=[0, 1], ticktext=names, range=[-0.6, 1.6], showgrid=False)
    figure.update_xaxes(title="← condemns · log odds · approves →")
    return figure


def _experiment(figure: go.Figure, place: int, tried: Tried) -> None:
    spread = np.random.default_rng(place).uniform(-0.16, 0.16, len(tried.controls))
    figure.add_trace(
        go.Scatter(
            x=list(tried.controls),
            y=place + spread,
            mode="markers",
            marker={"symbol": "circle-open", "size": 7, "color": CONTROL},
            hovertemplate="another latent's direction: %{x:.3f}<extra></extra>",
            name="controls",
        )
    )
    value, low, high = ([one] for one in tried.effect)
    figure.add_trace(
        go.Scatter(
            x=value,
            y=[place],
            mode="markers",
            marker={"symbol": "diamond", "size": 12, "color": OWN},
            error_x=_whiskers(*(np.array(one, np.float64) for one in (value, low, high))),
            hovertemplate=f"this latent: %{{x:.3f}}, {tried.n_texts} texts<extra></extra>",
            name="this latent",
        )
    )


def _whiskers(
    value: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": np.nan_to_num(high - value),
        "arrayminus": np.nan_to_num(value - low),
        "thickness": 2,
        "width": 0,
        "color": CONTROL,  # seen on light and on dark
    }


def _plain(figure: go.Figure, height: int) -> None:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        showlegend=False,
        dragmode=False,
        hovermode="closest",
    )
    figure.update_xaxes(fixedrange=True, zeroline=False)
    figure.update_yaxes(fixedrange=True)
