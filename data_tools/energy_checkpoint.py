"""The authors' energy nets: which net a state dict is, the tensors it has, and the schedule that they were trained with.

`cifar10`: the net with a time embedding added to z; `celebahq256`: the one of convolutions alone (docs/method.md, "Energy nets").
"""
from __future__ import annotations

import math
from typing import Any

from refusal import EXIT_USAGE, refuse, shown

Shapes = dict[str, tuple[int, ...]]
EMBEDDING = 128
MAX_LEVELS, MAX_CHANNELS, MAX_BLOCKS = 501, 16384, 8
_BOTTOMS = {"cifar10": 2, "celebahq256": 4}  # side at which the convolutions end; each block halves


def alpha_cum(levels: int) -> list[float]:
    """alpha_cum of t = 0 .. T (docs/method.md, "Schedule"), in float64: 1000 linear betas merged into T kernels."""
    if not 1 <= levels <= MAX_LEVELS:
        refuse(f"--T {levels}: expected 1 to {MAX_LEVELS}", EXIT_USAGE)
    stride = 1000 // (2 * (levels - 1)) if levels > 1 else 0
    out: list[float] = []
    product, step = 1.0, 0
    for last in [j * stride for j in range(levels)] + [999]:
        alpha = 1.0
        while step <= last:
            alpha *= math.sqrt(1.0 - (1e-4 + (0.02 - 1e-4) * step / 999))
            step += 1
        product *= alpha
        out.append(product)
    return out


def describe_net(where: str, shapes: Shapes) -> dict[str, Any]:
    """kind, spectral_norm, channels of the latents, their side and the width, from the names and two shapes of one net."""
    spectral = any(name.endswith(".weight_orig") for name in shapes)
    suffix = "weight_orig" if spectral else "weight"
    if spectral and not any(name.endswith(".weight_v") for name in shapes):
        refuse(f"{where}: has weight_orig and weight_u but no weight_v: spectral norm of PyTorch before 1.0. Load it there or later with "
               "load_state_dict, run one forward pass in train mode, and save it again")
    kind = "cifar10" if f"conv_start.{suffix}" in shapes else "celebahq256" if f"downsample.{suffix}" in shapes else None
    if kind is None:
        refuse(f"{where}: neither conv_start nor downsample is there: this is not one of the paper's energy nets (cifar10, celebahq256)")
    if kind == "cifar10":
        blocks = 1 + len({name.split(".")[1] for name in shapes if name.startswith("res_blocks.")})
        first = shapes[f"conv_start.{suffix}"]
    else:
        convs = len([name for name in shapes if name.startswith("conv2d.") and name.endswith(suffix)])
        blocks = 1 + convs
        first = shapes.get(f"conv2d.conv1.{suffix}", shapes[f"downsample.{suffix}"])
    if len(first) != 4 or not (_in_range(first[0]) and _in_range(first[1])) or blocks > MAX_BLOCKS:
        refuse(f"{where}: its first convolution has shape {list(first)} and there are {blocks} blocks; the file is damaged")
    return {"kind": kind, "spectral_norm": spectral, "channels": first[1], "width": first[0], "side": _BOTTOMS[kind] << blocks}


def expected_shapes(net: dict[str, Any]) -> Shapes:
    c, ch, blocks = net["channels"], net["width"], (net["side"] // _BOTTOMS[net["kind"]]).bit_length() - 1
    weights: Shapes = {}
    if net["kind"] == "cifar10":
        embeddings = {"t_ebm_model1": c, "t_ebm_model2": EMBEDDING}
        hidden = 4 * ch
        weights |= {"conv_start": (ch, c, 4, 4), "conv_short": (ch, c, 4, 4), "t_linear.1": (ch, EMBEDDING), "conv_all.1": (ch, ch, 3, 3)}
        for i in range(blocks - 1):
            weights |= {f"res_blocks.{i}.conv2d_1.1": (ch, ch, 4, 4), f"res_blocks.{i}.conv2d_2.1": (ch, ch, 3, 3),
                        f"res_blocks.{i}.conv2d_shortcut.1": (ch, ch, 4, 4), f"res_blocks.{i}.linear.1": (ch, EMBEDDING)}
    else:
        embeddings = {"t_ebm_model1": EMBEDDING}
        hidden = 16 * ch
        weights |= {f"conv2d.conv{i + 1}": (ch, ch if i else c, 4, 4) for i in range(blocks - 1)}
        weights["downsample"] = (ch, ch if blocks > 1 else c, 4, 4)
    for name, width in embeddings.items():
        weights |= {f"{name}.0": (width, EMBEDDING), f"{name}.2": (width, width)}
    for name, before, after in (("linear1", hidden, hidden // 2), ("linear2", hidden // 2, hidden // 4)):
        weights |= {f"{name}_x.1": (after, before), f"{name}_t.1": (after, EMBEDDING), f"{name}_all.1": (after, after),
                    f"{name}_short.1": (after, before)}
    weights["out.1"] = (1, hidden // 4)
    if not net["spectral_norm"]:
        return {f"{name}.weight": shape for name, shape in weights.items()}
    out: Shapes = {}
    for name, shape in weights.items():
        out |= {f"{name}.weight_orig": shape, f"{name}.weight_u": (shape[0],), f"{name}.weight_v": (math.prod(shape[1:]),)}
    return out


def architecture_of_nets(where: str, nets: list[dict[str, Any]], levels: int) -> dict[str, Any]:
    for i, net in enumerate(nets):
        for field in ("kind", "width", "spectral_norm"):
            if net[field] != nets[0][field]:
                refuse(f"{where}: netE{i} has {field} {net[field]}, netE0 has {nets[0][field]}; expected nets of one kind")
    return {
        "nets": nets[0]["kind"], "width": nets[0]["width"], "spectral_norm": nets[0]["spectral_norm"], "per_level": False, "gain": 1.0,
        "embedding": EMBEDDING, "alpha_cum": alpha_cum(levels), "groups": [[n["channels"], n["side"], n["side"]] for n in nets],
    }


def nets_of_architecture(where: str, a: Any) -> list[dict[str, Any]]:
    """The nets that the architecture in a weights file of ours describes."""
    kind = a.get("nets") if type(a) is dict else None
    if kind not in _BOTTOMS:
        refuse(f"{where}: energy nets of kind '{shown(kind if type(kind) is str else '')}'; only cifar10 and celebahq256 have a PyTorch form",
               EXIT_USAGE)
    groups, width, spectral = a.get("groups"), a.get("width"), a.get("spectral_norm")
    sides = [_BOTTOMS[kind] << blocks for blocks in range(1, MAX_BLOCKS + 1)]
    if type(groups) is not list or not 1 <= len(groups) <= 255 or not _in_range(width) or type(spectral) is not bool:
        refuse(f"{where}: the architecture's groups, width or spectral_norm are missing or out of range; the file is damaged")
    for group in groups:
        if type(group) is not list or len(group) != 3 or not all(_in_range(n) for n in group) or group[1] != group[2] or group[1] not in sides:
            refuse(f"{where}: a latent group is not [channels, side, side] with a side of {sides}; this net has no PyTorch form")
    if a.get("embedding") != EMBEDDING or a.get("per_level") or a.get("gain") != 1.0:
        refuse(f"{where}: has embedding {shown(str(a.get('embedding')))}, per_level or a gain; the PyTorch form has {EMBEDDING} and neither")
    return [{"kind": kind, "spectral_norm": spectral, "channels": c, "width": width, "side": h} for c, h, _ in groups]


def _in_range(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_CHANNELS
