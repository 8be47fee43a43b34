"""NVAE's checkpoints: from `args` to our architecture and back, and the tensors that an architecture has.

A tensor's name is the checkpoint's own key. docs/method.md, "NVAE", says what each is for.
"""
from __future__ import annotations

import math
import re
from typing import Any

from refusal import EXIT_USAGE, refuse, shown

Shapes = dict[str, tuple[int, ...]]

# our name, NVAE's, least and largest value
_NUMBERS = [
    ("encoder_channels", "num_channels_enc", 2, 4096), ("decoder_channels", "num_channels_dec", 2, 4096),
    ("scales", "num_latent_scales", 1, 8), ("groups_per_scale", "num_groups_per_scale", 1, 255), ("latents", "num_latent_per_group", 1, 256),
    ("encoder_cells", "num_cell_per_cond_enc", 1, 64), ("decoder_cells", "num_cell_per_cond_dec", 1, 64),
    ("preprocess_blocks", "num_preprocess_blocks", 1, 6), ("preprocess_cells", "num_preprocess_cells", 1, 64),
    ("postprocess_blocks", "num_postprocess_blocks", 1, 6), ("postprocess_cells", "num_postprocess_cells", 1, 64),
    ("flows", "num_nf", 0, 16), ("min_groups_per_scale", "min_groups_per_scale", 1, 255), ("mixtures", "num_mixture_dec", 1, 100),
    ("bits", "num_x_bits", 1, 8),
]
_FLAGS = ["ada_groups", "use_se", "res_dist"]  # the same name in both
_OLD_DEFAULTS: dict[str, Any] = {"ada_groups": False, "min_groups_per_scale": 1, "num_mixture_dec": 10}
CELLS = {  # res_mbconv
    **dict.fromkeys(["normal_enc", "down_enc", "normal_pre", "down_pre"], ["res_bnswish", "res_bnswish"]),
    **dict.fromkeys(["normal_dec", "up_dec"], ["mconv_e6k5g0"]), **dict.fromkeys(["normal_post", "up_post"], ["mconv_e3k5g0"]),
}
_SIDES = {"mnist": 32, "omniglot": 32, "cifar10": 32, "ffhq": 256}
# of args: what says how it was trained; not where its files lay or on which machines
_TRAINING_ARGS = [
    "dataset", "batch_size", "learning_rate", "learning_rate_min", "weight_decay", "weight_decay_norm", "weight_decay_norm_init",
    "weight_decay_norm_anneal", "epochs", "warmup_epochs", "fast_adamax", "kl_anneal_portion", "kl_const_portion", "kl_const_coeff",
    "num_total_iter", "seed", "num_process_per_node", "num_proc_node",
]


def check_cells(where: str, arch_instance: Any) -> None:
    """`arch_instance` of a checkpoint or its args: a name, or the lists of operations."""
    if type(arch_instance) is str:
        if arch_instance != "res_mbconv":
            refuse(f"{where}: the cell set '{shown(arch_instance)}' is not supported; expected res_mbconv, which NVAE's released models have")
        return
    if type(arch_instance) is not dict:
        refuse(f"{where}: arch_instance is neither a name nor lists of operations; expected res_mbconv")
    for cell, expected in CELLS.items():
        if (got := arch_instance.get(cell)) != expected:
            refuse(f"{where}: cells '{cell}' are {shown(_words(got))}; expected {_words(expected)} (the set res_mbconv)")


def _words(cells: Any) -> str:
    return " + ".join(shown(c, 40) for c in cells[:8]) if type(cells) is list and cells else "missing"


def training_args(args: dict[str, Any]) -> dict[str, Any]:
    """Those that JSON holds; `dataset` has been checked by architecture_of_args."""
    def kept(name: str, value: Any) -> bool:
        if type(value) is str:
            return name == "dataset"
        return type(value) is bool or _is_number(value, -(1 << 62), 1 << 62) or (type(value) is float and math.isfinite(value))

    return {name: args[name] for name in _TRAINING_ARGS if kept(name, args.get(name))}


def architecture_of_args(where: str, args: dict[str, Any]) -> dict[str, Any]:
    args = {**_OLD_DEFAULTS, **args}
    out: dict[str, Any] = {"backbone": "nvae"}
    for name, theirs, least, largest in _NUMBERS:
        if not _is_number(value := args.get(theirs), least, largest):
            refuse(f"{where}: args.{theirs} is {_value(value)}; expected {least} to {largest}. Give it by --arg {theirs}=NUMBER")
        out[name] = value
    for name in _FLAGS:
        if type(args.get(name)) is not bool:
            refuse(f"{where}: args.{name} is {_value(args.get(name))}; expected true or false. Give it by --arg {name}=true")
        out[name] = args[name]
    dataset = args.get("dataset")
    sized = re.fullmatch("(celeba|imagenet|lsun[a-z_]{0,40})_([0-9]{2,3})", dataset) if type(dataset) is str else None
    side = int(sized[2]) if sized else _SIDES.get(dataset) if type(dataset) is str else None
    if side is None:
        refuse(f"{where}: args.dataset is {_value(dataset)}; expected mnist, omniglot, cifar10, celeba_64, celeba_256, imagenet_32, "
               "imagenet_64, ffhq or lsun_NAME_SIDE, which say how large the images are. Give it by --arg dataset=NAME")
    grey = dataset in ("mnist", "omniglot")
    out |= {"side": side, "image_channels": 1 if grey else 3, "crop": 2 if grey else 0}
    out["likelihood"] = "bernoulli" if grey else "normal" if out["mixtures"] == 1 else "mixture"
    return _check_whole(where, out)


def check_architecture(where: str, a: Any) -> dict[str, Any]:
    """The architecture in a weights file of ours."""
    if type(a) is not dict or a.get("backbone") != "nvae":
        refuse(f"{where}: the architecture's backbone is {_value(a.get('backbone') if type(a) is dict else a)}; only nvae has a PyTorch form",
               EXIT_USAGE)
    for name, _, least, largest in [*_NUMBERS, ("side", "", 4, 1024), ("image_channels", "", 1, 3), ("crop", "", 0, 511)]:
        if not _is_number(a.get(name), least, largest):
            refuse(f"{where}: architecture: {name} is {_value(a.get(name))}; expected {least} to {largest}")
    for name in _FLAGS:
        if type(a.get(name)) is not bool:
            refuse(f"{where}: architecture: {name} is {_value(a.get(name))}; expected true or false")
    if a.get("likelihood") not in ("bernoulli", "mixture", "normal"):
        refuse(f"{where}: architecture: likelihood is {_value(a.get('likelihood'))}; expected bernoulli, mixture or normal")
    return _check_whole(where, a)


def _check_whole(where: str, a: dict[str, Any]) -> dict[str, Any]:
    halvings = a["preprocess_blocks"] + a["scales"] - 1
    if a["preprocess_blocks"] != a["postprocess_blocks"]:
        refuse(f"{where}: {a['preprocess_blocks']} preprocess and {a['postprocess_blocks']} postprocess blocks; expected as many of both")
    if a["side"] % (1 << halvings):
        refuse(f"{where}: images of side {a['side']} cannot be halved {halvings} times (preprocess blocks and scales)")
    if not 2 <= sum(groups_by_scale(a)) <= 255:
        refuse(f"{where}: {sum(groups_by_scale(a))} latent layers; expected 2 to 255")
    return a


def _is_number(value: Any, least: int, largest: int) -> bool:
    return type(value) is int and least <= value <= largest


def _value(value: Any) -> str:
    if value is None:
        return "missing"
    if type(value) is str:
        return f"'{shown(value)}'"
    return shown(str(value)) if type(value) in (int, float, bool) else f"a {type(value).__name__}"


def args_of_architecture(a: dict[str, Any], trained: dict[str, Any]) -> dict[str, Any]:
    """NVAE's args again. `trained`: those of training_args that are known; without a dataset among them, one of the same form is named."""
    dataset = "mnist" if a["likelihood"] == "bernoulli" else "cifar10" if a["side"] == 32 else f"celeba_{a['side']}"
    return {"dataset": dataset, **trained, "arch_instance": "res_mbconv", **{theirs: a[name] for name, theirs, _, _ in _NUMBERS},
            **{name: a[name] for name in _FLAGS}}


def groups_by_scale(a: dict[str, Any]) -> list[int]:
    """Latent groups of each scale, fine to coarse (the encoder's order)."""
    out, groups = [], a["groups_per_scale"]
    for _ in range(a["scales"]):
        out.append(groups)
        groups = max(a["min_groups_per_scale"], groups // 2) if a["ada_groups"] else groups
    return out


def latent_groups(a: dict[str, Any]) -> list[tuple[int, int, int]]:
    """[channels, height, width] of each latent layer, top first."""
    out = []
    for scale, groups in reversed(list(enumerate(groups_by_scale(a)))):
        side = a["side"] >> (a["preprocess_blocks"] + scale)
        out += [(a["latents"], side, side)] * groups
    return out


class _Tensors:
    """The tensors of one model, by name."""

    def __init__(self, use_se: bool) -> None:
        self.shapes: Shapes = {}
        self.use_se = use_se

    def conv(self, name: str, cin: int, cout: int, side: int, bias: bool = True, weight_norm: bool = True) -> None:
        self.shapes[f"{name}.weight"] = (cout, cin, side, side)
        if bias:
            self.shapes[f"{name}.bias"] = (cout,)
        if weight_norm:
            self.shapes[f"{name}.log_weight_norm"] = (cout, 1, 1, 1)

    def norm(self, name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            self.shapes[f"{name}.{part}"] = (channels,)

    def excite(self, name: str, channels: int) -> None:
        hidden = max(channels // 16, 4)
        if self.use_se:
            self.shapes.update({f"{name}.se.se.0.weight": (hidden, channels), f"{name}.se.se.0.bias": (hidden,),
                                f"{name}.se.se.2.weight": (channels, hidden), f"{name}.se.se.2.bias": (channels,)})

    def residual_cell(self, name: str, cin: int, cout: int) -> None:
        """Two res_bnswish; a down cell where the channels grow."""
        if cin != cout:
            for i in range(1, 5):
                self.conv(f"{name}.skip.conv_{i}", cin, cout // 4 if i < 4 else cout - 3 * (cout // 4), 1)
        for i, c in enumerate((cin, cout)):
            self.norm(f"{name}._ops.{i}.bn_act", c)
            self.conv(f"{name}._ops.{i}.conv_0", c, cout, 3)
        self.excite(name, cout)

    def mobile_cell(self, name: str, cin: int, cout: int, expansion: int) -> None:
        """One mconv; an up cell where the channels shrink."""
        up = int(cin != cout)
        if up:
            self.conv(f"{name}.skip.1", cin, cout, 1, bias=False)
        hidden = cin * expansion
        layer = [f"{name}._ops.0.conv.{up + i}" for i in range(5)]
        self.norm(f"{layer[0]}.bn", cin)
        self.conv(f"{layer[1]}.conv.0", cin, hidden, 1, bias=False, weight_norm=False)
        self.norm(f"{layer[1]}.conv.1", hidden)
        self.conv(f"{layer[2]}.conv.0", 1, hidden, 5, bias=False, weight_norm=False)
        self.norm(f"{layer[2]}.conv.1", hidden)
        self.conv(f"{layer[3]}", hidden, cout, 1, bias=False, weight_norm=False)
        self.norm(f"{layer[4]}.bn", cout)
        self.excite(name, cout)

    def flow(self, name: str, latents: int) -> None:
        hidden = 6 * latents
        self.conv(f"{name}.conv.convz.0", latents, hidden, 3, bias=False)
        self.conv(f"{name}.conv.convz.2", 1, hidden, 5, bias=False)
        self.conv(f"{name}.mu.conv_0", hidden, latents, 1)


def expected_shapes(a: dict[str, Any]) -> Shapes:
    """Every tensor of the architecture, but those that an import drops (weight_normalized, num_batches_tracked)."""
    t = _Tensors(a["use_se"])
    groups, latents, pre, scales = groups_by_scale(a), a["latents"], a["preprocess_blocks"], a["scales"]
    enc = [a["encoder_channels"] << i for i in range(pre + scales)]  # channels by halvings of the image
    dec = [a["decoder_channels"] << i for i in range(pre + scales)]
    side = a["side"] >> (pre + scales - 1)
    t.shapes["prior_ftr0"] = (dec[-1], side, side)
    t.conv("stem", a["image_channels"], enc[0], 3)
    for i in range(pre * a["preprocess_cells"]):
        block, last = i // a["preprocess_cells"], i % a["preprocess_cells"] == a["preprocess_cells"] - 1
        t.residual_cell(f"pre_process.{i}", enc[block], enc[block + last])
    i = 0
    for scale, count in enumerate(groups):
        c = enc[pre + scale]
        for group in range(count):
            for _ in range(a["encoder_cells"]):
                t.residual_cell(f"enc_tower.{i}", c, c)
                i += 1
            if (scale, group) != (scales - 1, count - 1):
                t.conv(f"enc_tower.{i}.conv", dec[pre + scale], c, 1)
                i += 1
        if scale < scales - 1:
            t.residual_cell(f"enc_tower.{i}", c, enc[pre + scale + 1])
            i += 1
    t.conv("enc0.1", enc[-1], enc[-1], 1)
    _add_decoder(t, a, enc, dec)
    channels = {"bernoulli": a["image_channels"], "normal": 6, "mixture": 10 * a["mixtures"]}[a["likelihood"]]
    t.conv("image_conditional.1", dec[0], channels, 3)
    return t.shapes


def _add_decoder(t: _Tensors, a: dict[str, Any], enc: list[int], dec: list[int]) -> None:
    layer = i = 0
    for scale, count in reversed(list(enumerate(groups_by_scale(a)))):
        level = a["preprocess_blocks"] + scale
        for _ in range(count):
            t.conv(f"enc_sampler.{layer}", enc[level], 2 * a["latents"], 3)
            for k in range(a["flows"]):
                for cell in (1, 2):
                    t.flow(f"nf_cells.{layer * a['flows'] + k}.cell{cell}", a["latents"])
            if layer > 0:
                t.conv(f"dec_sampler.{layer - 1}.1", dec[level], 2 * a["latents"], 1)
                for _ in range(a["decoder_cells"]):
                    t.mobile_cell(f"dec_tower.{i}", dec[level], dec[level], 6)
                    i += 1
            t.conv(f"dec_tower.{i}.conv", dec[level] + a["latents"], dec[level], 1)
            i += 1
            layer += 1
        if scale > 0:
            t.mobile_cell(f"dec_tower.{i}", dec[level], dec[level - 1], 6)
            i += 1
    cells = a["postprocess_cells"]
    for i in range(a["postprocess_blocks"] * cells):
        level = a["preprocess_blocks"] - i // cells
        t.mobile_cell(f"post_process.{i}", dec[level] if i % cells == 0 else dec[level - 1], dec[level - 1], 3)
