"""dictionary_learning, by Marks, Karvonen and Mueller: four of its classes."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from core.sae.dictionary import Activation, Dictionary, DictionaryError, DictionaryInfo
from core.sae.layouts.shared import (
    Hints,
    built,
    label,
    layer_of,
    linear_encoder,
    nothing_left,
    plain,
    table,
    take,
    whole,
)

if TYPE_CHECKING:
    from core.sae.layouts.shared import Tensors

#: Places of dictionary_learning, as it names submodules and folders: ``resid_post_layer_3``.
_LEARNED_PLACE: Final = re.compile(r"([a-z_]+?)_?layer_?(\d{1,4})(?:_checkpoints)?")
_STREAM_AFTER: Final = ("resid", "resid_post", "resid_out", "residual", "residual_post")
_STREAM_BEFORE: Final = ("resid_pre", "residual_pre")


def from_dictionary_learning(
    folder: tuple[str, ...], config: Mapping[str, Any], tensors: "Tensors", told: Hints
) -> Dictionary:
    """Build a dictionary from a folder of dictionary_learning, by Marks, Karvonen and Mueller.

    Its classes differ in the name of the decoder's bias and in what they do with it: ``bias`` and
    ``b_dec`` are subtracted from a state before it is encoded, ``decoder.bias`` is not.

    Args:
        folder: Names on its path, such as ``(..., "resid_post_layer_3", "trainer_0")``.
        config: Its ``config.json``; empty if it has none.
        tensors: Its ``ae.pt`` in float32.
        told: What is known beside.

    Raises:
        DictionaryError: Damaged, another hook point, or a class that is not read here.
    """
    trainer, weights = table(config, "trainer"), dict(tensors)
    place = len(folder) > 1 and _LEARNED_PLACE.fullmatch(folder[-2])
    name = told.name or "/".join(folder[-2:] if place else folder[-1:])
    bias = next((one for one in ("bias", "b_dec", "decoder.bias") if one in weights), "")
    activation = _learned_rule(name, label(trainer, "dict_class"), bias, weights)
    layer = _learned_layer(name, folder, trainer)
    stated = weights.pop("k", None)
    held = whole(float(stated)) if stated is not None and stated.numel() == 1 else None
    k = told.k or held or whole(trainer.get("k"))
    info = DictionaryInfo(
        name,
        layer,
        activation,
        k if activation == "topk" else None,
        bias != "decoder.bias",
        model_name=told.model_name or label(trainer, "lm_name"),
        source=told.source,
    )
    kept = linear_encoder(name, weights) | {"b_dec": weights.pop(bias)}
    kept["w_dec"] = take(name, weights, "decoder.weight").transpose(0, -1).contiguous()
    threshold = weights.pop("threshold", None)  # of TopK, it is only an estimate beside the rule
    if activation == "jumprelu" and threshold is not None:
        if threshold.numel() != 1 or not float(threshold) >= 0:
            raise DictionaryError(
                f"{name} states no threshold that was reached in training, so it cannot be used "
                "on one text at a time. Choose one that was trained longer."
            )
        kept["threshold"] = threshold.reshape(1).expand_as(kept["b_enc"]).contiguous()
    nothing_left(name, weights)
    return built(
        info, kept, {"d_in": trainer.get("activation_dim"), "d_sae": trainer.get("dict_size")}
    )


def _learned_rule(name: str, stated: str, bias: str, tensors: "Tensors") -> Activation:
    """Return the rule of a class, by its name and, where none is stated, by what it keeps."""
    rules: dict[str, tuple[Activation, tuple[str, ...]]] = {
        "autoencoder": ("relu", ("bias", "decoder.bias")),
        "autoencodernew": ("relu", ("decoder.bias",)),
        "autoencodertopk": ("topk", ("b_dec",)),
        "batchtopksae": ("jumprelu", ("b_dec",)),
    }
    # Without a name, k may belong to TopK or to BatchTopK, which differ.
    guessed = "autoencoder" if bias in ("bias", "decoder.bias") and "k" not in tensors else ""
    rule = rules.get(plain(stated) or guessed)
    if rule is None or bias not in rule[1] or "encoder.weight" not in tensors:
        what = f"of the class {stated[:40]!r}" if stated else "of a class its config.json omits"
        raise DictionaryError(
            f"{name} is a dictionary of dictionary_learning {what}, and holds "
            f"{', '.join(sorted(tensors))[:120]}. Read are AutoEncoder, AutoEncoderNew, "
            "AutoEncoderTopK and BatchTopKSAE, as trainer.dict_class names them."
        )
    return rule[0]


def _learned_layer(name: str, folder: tuple[str, ...], trainer: Mapping[str, Any]) -> int:
    """Return the layer, which the description or the path says together with the place."""
    places = [label(trainer, "submodule_name"), *reversed(folder[-4:])]
    found = next((match for one in places if (match := _LEARNED_PLACE.fullmatch(one))), None)
    stated = whole(trainer.get("layer"))
    if found is None:
        raise DictionaryError(
            f"{name} does not say the place of the model that it reads. If that is the output of "
            'a decoder layer, add "submodule_name": '
            f'"resid_post_layer_{"N" if stated is None else stated}" to "trainer" in its '
            "config.json, or name its folder so."
        )
    place, layer = found[1].rstrip("_"), int(found[2])
    if stated is not None and stated != layer:
        raise DictionaryError(
            f"{name} states layer {stated} and the place {found[0]!r}, which contradict each "
            "other. Mend its config.json."
        )
    after = {"model.layers.%d.output": _STREAM_AFTER, "blocks.%d.hook_resid_pre": _STREAM_BEFORE}
    hook = next((form % layer for form, words in after.items() if place in words), found[0])
    return layer_of(name, hook)
