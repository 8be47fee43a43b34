#!/usr/bin/env python3
"""Turns PyTorch checkpoints of NVAE and of the paper's energy nets into weights that hebm_dist reads (safetensors).

Needs the Python standard library alone. Nothing in a checkpoint is run: docs/formats.md, "Weights from PyTorch".
"""
from __future__ import annotations

import argparse
import array
import os
import struct
from typing import Any, Iterator

import energy_checkpoint
import nvae_checkpoint
from pytorch_files import PyTorchFile, open_pytorch_file
from refusal import EXIT_USAGE, refuse, run_tool, shown
from restricted_pickle import OrderedEntries, Record
from safetensors_file import compact_json, write_safetensors
from tensors import Tensor

MAX_GROWTH = 4  # output over input: half-precision weights double; tensors that share a storage repeat it
MAX_NETS = 255


def float32_bytes(what: str, dtype: str, data: bytes) -> bytes:
    """Elements of any floating dtype as little-endian float32. A value that float32 cannot hold is refused."""
    if dtype == "float32":
        return data
    if dtype == "bfloat16":
        out = bytearray(2 * len(data))
        out[2::4], out[3::4] = data[0::2], data[1::2]
        return bytes(out)
    if dtype == "float16":
        return array.array("f", struct.unpack(f"<{len(data) // 2}e", data)).tobytes()
    if dtype == "float64":
        values = array.array("d", data)
        narrow = array.array("f", values)
        for value, result in zip(values, narrow):
            if abs(result) == float("inf") and abs(value) != float("inf"):
                refuse(f"{what}: {value} does not fit float32")
        return narrow.tobytes()
    return refuse(f"{what}: has dtype {dtype}; expected a floating-point type")


def tensors_of(where: str, state: Any) -> dict[str, Tensor]:
    """A state dict without the prefix of DataParallel. What is derived or only counts (docs/formats.md) is dropped."""
    if type(state) not in (dict, OrderedEntries) or any(type(key) is not str for key in state):
        refuse(f"{where}: is not a state dict (names and tensors); save the model's state_dict()")
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key.removeprefix("module.")
        if name.endswith((".weight_normalized", ".num_batches_tracked")):
            continue
        if type(value) is not Tensor:
            refuse(f"{where}: '{shown(key)}' is of type {type(value).__name__}; expected a tensor")
        if name in out:
            refuse(f"{where}: '{shown(name)}' stands there with and without the prefix 'module.'")
        out[name] = value
    return out


def check_shapes(where: str, tensors: dict[str, Tensor], expected: dict[str, tuple[int, ...]]) -> None:
    def some(names: list[str]) -> str:
        return ", ".join(shown(n) for n in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    if missing := [name for name in expected if name not in tensors]:
        refuse(f"{where}: lacks {some(missing)}, which its settings ask for; is it the state dict that belongs to these args?")
    if extra := [name for name in tensors if name not in expected]:
        refuse(f"{where}: has {some(extra)}, which its settings do not have; is it the state dict that belongs to these args?")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            refuse(f"{where}: '{name}' has shape {list(tensors[name].shape)}, expected {list(shape)} by its settings")


def write(file: PyTorchFile, out: str, tensors: dict[str, Tensor], metadata: dict[str, str], force: bool) -> None:
    total = sum(4 * tensor.count for tensor in tensors.values())
    if total > MAX_GROWTH * os.path.getsize(file.path):
        refuse(f"{file.path}: {total} bytes of weights from a file of {os.path.getsize(file.path)}: too many tensors share their storage")

    def data() -> Iterator[bytes]:
        for name in sorted(tensors):
            yield float32_bytes(f"{file.path}: '{name}'", tensors[name].storage.dtype, file.read(tensors[name]))

    write_safetensors(out, {name: t.shape for name, t in tensors.items()}, data(), metadata, force)
    print(f"{out}: {len(tensors)} tensors, {sum(t.count for t in tensors.values()):,} values, {os.path.getsize(out):,} bytes")


def parse_args(pairs: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            refuse(f"--arg {pair}: expected NAME=VALUE", EXIT_USAGE)
        out[name] = {"true": True, "false": False}.get(text.lower(), int(text) if text.isdecimal() and len(text) < 10 else text)
    return out


def import_nvae(options: argparse.Namespace) -> int:
    with open_pytorch_file(options.checkpoint) as file:
        root = file.root
        if type(root) not in (dict, OrderedEntries) or "state_dict" not in root:
            refuse(f"{file.path}: has no 'state_dict'; expected NVAE's checkpoint: state_dict, args, arch_instance, epoch")
        args = root.get("args", {})
        if type(args) not in (dict, Record):
            refuse(f"{file.path}: 'args' is of type {type(args).__name__}; expected argparse.Namespace or a dict")
        args = {**args, **parse_args(options.arg)}
        for holder, name in ((root, "arch_instance"), (args, "args.arch_instance")):
            if (cells := holder.get("arch_instance")) is not None:
                nvae_checkpoint.check_cells(f"{file.path}: {name}", cells)
        architecture = nvae_checkpoint.architecture_of_args(file.path, args)
        tensors = tensors_of(f"{file.path}: state_dict", root["state_dict"])
        check_shapes(f"{file.path}: state_dict", tensors, nvae_checkpoint.expected_shapes(architecture))
        identity: dict[str, Any] = {"imported_from": shown(os.path.basename(file.path)), "args": nvae_checkpoint.training_args(args)}
        if type(root.get("epoch")) is int:
            identity["epoch"] = root["epoch"]
        write(file, options.out, tensors, {
            "format": "hebm-vae", "version": "1", "architecture": compact_json(architecture), "identity": compact_json(identity),
            "results": "{}"}, options.force)
    parameters = sum(t.count for name, t in tensors.items() if not name.endswith((".running_mean", ".running_var")))
    groups = nvae_checkpoint.latent_groups(architecture)
    by_shape = ", ".join(f"{groups.count(g)} of {g[0]} x {g[1]} x {g[2]}" for g in dict.fromkeys(groups))
    print(f"NVAE: {parameters:,} parameters, {len(groups)} layers (top first: {by_shape}), {architecture['likelihood']} likelihood")
    return 0


def import_ebm(options: argparse.Namespace) -> int:
    levels = energy_checkpoint.alpha_cum(options.T)
    with open_pytorch_file(options.checkpoint) as file:
        root = file.root if type(file.root) in (dict, OrderedEntries) else {}
        count = sum(1 for key in root if type(key) is str and key.startswith("netE") and key[4:].isdecimal())
        if not 1 <= count <= MAX_NETS or any(f"netE{i}" not in root for i in range(count)):
            refuse(f"{file.path}: expected the state dicts netE0, netE1, ... (at most {MAX_NETS}, none left out), found {count} of them")
        nets, tensors = [], {}
        for i in range(count):
            where = f"{file.path}: netE{i}"
            layer = tensors_of(where, root[f"netE{i}"])
            nets.append(energy_checkpoint.describe_net(where, {name: t.shape for name, t in layer.items()}))
            check_shapes(where, layer, energy_checkpoint.expected_shapes(nets[-1]))
            tensors |= {f"layer{i}.{name}": tensor for name, tensor in layer.items()}
        architecture = energy_checkpoint.architecture_of_nets(file.path, nets, options.T)
        write(file, options.out, tensors, {
            "format": "hebm-prior", "version": "1", "architecture": compact_json(architecture),
            "identity": compact_json({"imported_from": shown(os.path.basename(file.path))})}, options.force)
    sides = " ".join(str(n["side"]) for n in nets)
    print(f"{count} energy nets of kind {nets[0]['kind']}, width {nets[0]['width']}, for latents of sides {sides}; T = {len(levels) - 1}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="import_pytorch.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="Exit codes: 0 done; 1 runtime error; 2 usage; 4 the checkpoint is damaged or refused.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="nvae|ebm")
    nvae = commands.add_parser("nvae", help="NVAE's checkpoint.pt (state_dict, args, arch_instance)")
    nvae.add_argument("--arg", action="append", default=[], metavar="NAME=VALUE",
                      help="one of NVAE's args that the checkpoint lacks or has wrong, for example dataset=cifar10; may be repeated")
    ebm = commands.add_parser("ebm", help="the energy nets: netE0, netE1, ... (opt0, ... are ignored)")
    ebm.add_argument("--T", type=int, default=3, metavar="N", help="diffusion steps that they were trained with; the file does not say (default 3)")
    for command, run in ((nvae, import_nvae), (ebm, import_ebm)):
        command.add_argument("checkpoint", help="what torch.save wrote")
        command.add_argument("-o", "--out", required=True, metavar="FILE.safetensors", help="the weights to write")
        command.add_argument("--force", action="store_true", help="replace FILE if it exists")
        command.set_defaults(run=run)
    options = parser.parse_args()
    return options.run(options)


if __name__ == "__main__":
    run_tool("import_pytorch.py", main)
