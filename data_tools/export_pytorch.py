#!/usr/bin/env python3
"""Turns weights of hebm_dist (safetensors) back into a PyTorch checkpoint: NVAE's own keys, or the authors' netE{i}.

vae.safetensors becomes {epoch, state_dict, args, arch_instance} and prior.safetensors {netE0, netE1, ...}, with the keys and shapes that
load_state_dict(strict=True) asks for. `args` is a dict of what shapes the model, so that torch.load(weights_only=True) takes the file;
--namespace makes it the argparse.Namespace that NVAE's own scripts read, which needs weights_only=False. Needs the Python standard
library alone.
"""
from __future__ import annotations

import argparse
import json
import os
from typing import Any

import energy_checkpoint
import nvae_checkpoint
from pytorch_writer import NewTensor, write_pytorch
from refusal import EXIT_USAGE, refuse, run_tool, shown
from restricted_pickle import OrderedEntries, Record
from safetensors_file import SafetensorsFile, publish


def metadata_json(file: SafetensorsFile, key: str) -> Any:
    try:
        return json.loads(file.metadata.get(key, "null"))
    except (ValueError, RecursionError) as error:
        return refuse(f"{file.path}: metadata {key} is not JSON ({shown(str(error))}); the file is damaged")


def state_dict(file: SafetensorsFile, prefix: str, expected: dict[str, tuple[int, ...]]) -> OrderedEntries:
    out = OrderedEntries()
    for name, shape in expected.items():
        dtype, got, _ = file.tensors.get(prefix + name, ("", (), 0))
        if not dtype:
            refuse(f"{file.path}: has no tensor '{prefix}{name}', which its architecture asks for; the file is damaged")
        if got != shape or dtype != "F32":
            refuse(f"{file.path}: tensor '{prefix}{name}' is {dtype} {list(got)}, expected F32 {list(shape)}")
        out[name] = NewTensor(prefix + name, "float32", shape, lambda key=prefix + name: file.read(key))
    return out


def add_derived(state: OrderedEntries) -> None:
    """Keys that strict loading asks for and that hold nothing of their own: convolutions without weight norm carry their weight a second
    time, as weight_normalized; batch norms count their batches, which only momentum = None would use."""
    for name in list(state):
        stem = name.removesuffix(".weight")
        if name.endswith(".weight") and len(state[name].shape) == 4 and f"{stem}.log_weight_norm" not in state:
            state[f"{stem}.weight_normalized"] = state[name]
        if name.endswith(".running_var"):
            count = name.removesuffix("running_var") + "num_batches_tracked"
            state[count] = NewTensor(count, "int64", (), lambda: bytes(8))


def nvae_root(file: SafetensorsFile, namespace: bool) -> dict[str, Any]:
    architecture = nvae_checkpoint.check_architecture(file.path, metadata_json(file, "architecture"))
    identity = metadata_json(file, "identity")
    known = identity.get("args") if type(identity) is dict else None
    args = nvae_checkpoint.args_of_architecture(architecture, nvae_checkpoint.training_args(known if type(known) is dict else {}))
    expected = nvae_checkpoint.expected_shapes(architecture)
    refuse_others(file, set(expected))
    state = state_dict(file, "", expected)
    add_derived(state)
    epoch = identity.get("epoch") if type(identity) is dict else None
    if not namespace:  # weights_only of PyTorch 1.13 reads no floating-point numbers; none of them shapes the model
        args = {key: value for key, value in args.items() if type(value) is not float}
    print(f"NVAE: {len(state)} entries, args.dataset = {args['dataset']}")
    return {"epoch": epoch if type(epoch) is int and 0 <= epoch < 1 << 31 else 0, "state_dict": state,
            "args": Record(args) if namespace else args, "arch_instance": {**nvae_checkpoint.CELLS, "ar_nn": [""]}}


def energy_root(file: SafetensorsFile) -> dict[str, Any]:
    nets = energy_checkpoint.nets_of_architecture(file.path, metadata_json(file, "architecture"))
    expected = [energy_checkpoint.expected_shapes(net) for net in nets]
    refuse_others(file, {f"layer{i}.{name}" for i, shapes in enumerate(expected) for name in shapes})
    levels = metadata_json(file, "architecture").get("alpha_cum")
    print(f"{len(nets)} energy nets of kind {nets[0]['kind']}, width {nets[0]['width']}; the checkpoint has no place for the schedule "
          f"(T = {len(levels) - 1 if type(levels) is list else 'unknown'})")
    return {f"netE{i}": state_dict(file, f"layer{i}.", shapes) for i, shapes in enumerate(expected)}


def refuse_others(file: SafetensorsFile, expected: set[str]) -> None:
    if extra := sorted(set(file.tensors) - expected):
        refuse(f"{file.path}: has {len(extra)} tensors that its architecture does not have: {', '.join(shown(n) for n in extra[:3])}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="export_pytorch.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="Exit codes: 0 done; 1 runtime error; 2 usage; 4 the weights are damaged or refused.")
    parser.add_argument("weights", help="vae.safetensors of an NVAE, or prior.safetensors of the nets cifar10 or celebahq256")
    parser.add_argument("-o", "--out", required=True, metavar="FILE.pt", help="the checkpoint to write")
    parser.add_argument("--namespace", action="store_true", help="args as argparse.Namespace; torch.load then needs weights_only=False")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    options = parser.parse_args()
    if not os.path.isfile(options.weights):
        refuse(f"{options.weights}: is not a file; give vae.safetensors or prior.safetensors of a run", EXIT_USAGE)
    with SafetensorsFile(options.weights) as file:
        kind, version = file.metadata.get("format"), file.metadata.get("version")
        if kind not in ("hebm-vae", "hebm-prior") or version != "1":
            refuse(f"{file.path}: format '{shown(kind or '')}' version '{shown(version or '')}'; expected hebm-vae or hebm-prior of version 1")
        file.check_crc()
        root = nvae_root(file, options.namespace) if kind == "hebm-vae" else energy_root(file)
        publish(options.out, lambda out: write_pytorch(out, root), options.force)
    print(f"{options.out}: {os.path.getsize(options.out):,} bytes")
    return 0


if __name__ == "__main__":
    run_tool("export_pytorch.py", main)
