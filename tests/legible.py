"""How well text stands out from what is drawn beneath it, as WCAG 2 counts it (1 to 21).

The colour of a text is the browser's own, with the opacity of all that holds it; what lies beneath
is taken from a picture of the page without its text, so bars, heat maps and shades count.
Components are looked into, their shadow roots too. Not looked at: what is disabled, icons, words
that a canvas draws, and labels of points, which lie among others and have a halo.
"""

import io
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Least contrast of text, and of large text (24 px, or 18.66 px bold).
LEAST, LEAST_LARGE = 4.5, 3.0
#: Share of the pixels beneath that may be worse: a line of the grid crosses a label.
CROSSED = 0.2

_BARE = """*, *::before, *::after, *::placeholder {
    color: transparent !important; -webkit-text-fill-color: transparent !important;
    text-shadow: none !important; transition: none !important; caret-color: transparent !important}
svg text, svg tspan {fill: transparent !important; stroke: transparent !important}"""

#: The page and all that is closed off from its styles.
_ROOTS = """const roots = [document];
    for (const root of roots)
        for (const one of root.querySelectorAll("*"))
            if (one.shadowRoot) roots.push(one.shadowRoot);
"""
#: Hides or shows all text; the argument is the style, or nothing.
_HIDE = (
    "style => {"
    + _ROOTS
    + """
    for (const root of roots) {
        root.querySelector('style[data-bare]')?.remove();
        if (!style) continue;
        const one = document.createElement('style');
        one.dataset.bare = '';
        one.textContent = style;
        (root.body ?? root).append(one);
    }
}"""
)
#: Every line of visible text: its box, colour, opacity, and whether it is large.
_TEXTS = (
    "() => {"
    + _ROOTS
    + """
    const found = [];
    const above = one => one.parentElement ?? one.getRootNode().host;
    // A sign that is drawn for the eye alone is a picture, which needs as little as large text.
    const large = (one, {fontSize, fontWeight}) => one.closest('[aria-hidden=true]') !== null
        || parseFloat(fontSize) >= (fontWeight >= 700 ? 18.66 : 24);
    const note = (one, words, colour, boxes) => {
        const style = getComputedStyle(one);
        let opacity = 1;
        for (let at = one; at; at = above(at)) opacity *= getComputedStyle(at).opacity;
        if (style.visibility !== 'visible' || opacity < 0.05) return;
        for (const {x, y, width, height} of boxes) {
            const there = one.getRootNode().elementsFromPoint(x + width / 2, y + height / 2);
            const seen = one.closest('svg') || there.some(at => at === one || one.contains(at));
            if (width < 2 || height < 2 || !seen) continue;
            found.push({words: words.trim().slice(0, 60), colour, opacity, x, y, width, height,
                        large: large(one, style)});
        }
    };
    const texts = roots.flatMap(root => {
        const walker = document.createTreeWalker(root.body ?? root, NodeFilter.SHOW_TEXT), all = [];
        for (let text = walker.nextNode(); text; text = walker.nextNode()) all.push(text);
        return all;
    });
    for (const text of texts) {
        const one = text.parentElement;
        if (!one || !text.data.trim() || one.closest(
            'script, style, noscript, :disabled, [aria-disabled=true], ' +
            '[data-testid=stIconMaterial], .textpoint'
        )) continue;
        const style = getComputedStyle(one);
        const range = document.createRange();
        range.selectNodeContents(text);
        note(one, text.data, one.closest('svg') ? style.fill : style.color,
             range.getClientRects());
    }
    const boxes = 'input:not(:disabled), textarea:not(:disabled)';
    for (const one of roots.flatMap(root => [...root.querySelectorAll(boxes)])) {
        const empty = one.value === '', words = one.value || one.placeholder;
        if (!words || ['checkbox', 'radio', 'range', 'file'].includes(one.type)) continue;
        note(one, words, getComputedStyle(one, empty ? '::placeholder' : null).color,
             [one.getBoundingClientRect()]);
    }
    return found;
}"""
)


class Faint(NamedTuple):
    """A text that is hard to read."""

    words: str
    contrast: float
    colour: str


def faint(page: Any) -> list[Faint]:
    """Return the texts in the window whose contrast is below what WCAG asks."""
    texts = page.evaluate(_TEXTS)
    page.evaluate(_HIDE, _BARE)
    picture = page.screenshot(scale="css", animations="disabled")
    page.evaluate(_HIDE, "")
    ground = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=np.float64) / 255
    found = []
    for text in texts:
        least = _least(text, ground)
        if least < (LEAST_LARGE if text["large"] else LEAST):
            found.append(Faint(text["words"], round(least, 2), text["colour"]))
    return found


def _least(text: dict[str, Any], ground: NDArray[np.floating]) -> float:
    """Return the contrast that all but a few pixels beneath a text have at least."""
    left, top = (max(0, round(text[one])) for one in ("x", "y"))
    right, bottom = round(text["x"] + text["width"]), round(text["y"] + text["height"])
    beneath = ground[top:bottom, left:right].reshape(-1, 3)
    if not len(beneath):
        return np.inf  # out of the window
    *rgb, alpha = colour(text["colour"])
    share = alpha * text["opacity"]
    seen = contrast(share * np.array(rgb) + (1 - share) * beneath, beneath)
    return float(np.quantile(seen, CROSSED))


def contrast(ink: NDArray[np.floating], paper: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the contrast of colours of shape ``(n, 3)`` or ``(3,)``, 1 to 21."""
    lights = np.stack([_luminance(ink), _luminance(paper)])
    ratio: NDArray[np.floating] = (lights.max(axis=0) + 0.05) / (lights.min(axis=0) + 0.05)
    return ratio


def colour(css: str) -> list[float]:
    """Return red, green, blue and alpha in [0, 1] of ``#rrggbb``, ``rgb()`` or ``rgba()``."""
    if css.startswith("#"):
        return [*(int(css[at : at + 2], 16) / 255 for at in (1, 3, 5)), 1.0]
    numbers = [float(one) for one in css[css.index("(") + 1 : -1].replace("/", ",").split(",")]
    return [*(one / 255 for one in numbers[:3]), *(numbers[3:] or [1.0])]


def _luminance(rgb: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the relative luminance of colours of shape ``(…, 3)`` in [0, 1]."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance: NDArray[np.floating] = linear @ np.array([0.2126, 0.7152, 0.0722])
    return luminance
