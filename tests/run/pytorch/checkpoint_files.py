"""Makes PyTorch's files byte by byte, without PyTorch and without the code under test, and runs the tools on them."""
from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
import zlib

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "data_tools")
sys.path.insert(0, TOOLS)

STORAGE = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage",
           "int64": "LongStorage", "int32": "IntStorage", "int16": "ShortStorage", "int8": "CharStorage", "uint8": "ByteStorage",
           "bool": "BoolStorage"}


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value):
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x0a" + value.to_bytes(10, "little", signed=True)


def plain(value):
    if value is None:
        return b"N"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return mapping({key: plain(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return (b"](" if isinstance(value, list) else b"(") + b"".join(map(plain, value)) + (b"e" if isinstance(value, list) else b"t")
    return number(value)


def mapping(items, start=b"}"):
    """Values are pickles already."""
    return start + b"(" + b"".join((text(k) if isinstance(k, str) else number(k)) + v for k, v in items.items()) + b"u"


def ordered(items):
    return mapping(items, name("collections", "OrderedDict") + b")R")


def namespace(values):
    return name("argparse", "Namespace") + b")\x81" + plain(values) + b"b"


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def storage(key, dtype, count, device="cpu", legacy=False):
    return b"(" + text("storage") + name("torch", STORAGE[dtype]) + text(key) + text(device) + number(count) + (b"N" if legacy else b"") + b"tQ"


def tensor(store, shape, strides=None, offset=0):
    strides = strides if strides is not None else [math.prod(shape[i + 1:]) for i in range(len(shape))]
    return (name("torch._utils", "_rebuild_tensor_v2") + b"(" + store + number(offset) + plain(tuple(shape)) + plain(tuple(strides))
            + b"\x89" + name("collections", "OrderedDict") + b")RtR")


def document(value):
    return b"\x80\x02" + value + b"."


def write_zip(path, root, storages, folder="archive", extra=()):
    """storages: {key: bytes}; extra: [(entry, bytes)] beside them"""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{folder}/data.pkl", document(root))
        for key, data in storages.items():
            archive.writestr(f"{folder}/data/{key}", data)
        for entry, data in extra:
            archive.writestr(entry, data)
        archive.writestr(f"{folder}/version", b"3\n")


def legacy_bytes(root, storages):
    """storages: [(key, count, bytes)]"""
    magic = b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    out = document(magic) + document(number(1001)) + document(plain(machine)) + document(root)
    out += document(plain([key for key, _, _ in storages]))
    return out + b"".join(struct.pack("<q", count) + data for _, count, data in storages)


class Model:
    """A state dict of float32 tensors with values that tell one from another."""

    def __init__(self, shapes, prefix="", device="cpu", legacy=False, first=0):
        self.storages, items = {}, {}
        for i, (key, shape) in enumerate(shapes.items(), first):
            count = math.prod(shape)
            self.storages[str(i)] = struct.pack(f"<{count}f", *((i + 1) * 0.5 + 0.25 * k for k in range(count)))
            items[prefix + key] = tensor(storage(str(i), "float32", count, device, legacy), shape)
        self.items = items

    def state(self):
        # as torch writes it: an OrderedDict with the attribute _metadata
        return ordered(self.items) + plain({"_metadata": {"": {"version": 1}}}) + b"b"

    def legacy_storages(self):
        return [(key, len(data) // 4, data) for key, data in self.storages.items()]


SMALL_ARGS = {
    "dataset": "cifar10", "num_channels_enc": 4, "num_channels_dec": 4, "num_latent_scales": 2, "num_groups_per_scale": 2,
    "num_latent_per_group": 2, "num_cell_per_cond_enc": 1, "num_cell_per_cond_dec": 1, "num_preprocess_blocks": 1, "num_preprocess_cells": 2,
    "num_postprocess_blocks": 1, "num_postprocess_cells": 2, "num_nf": 1, "num_x_bits": 8, "use_se": True, "res_dist": True,
    "arch_instance": "res_mbconv", "save": "/somewhere/else", "learning_rate": 0.01,
    "num_total_iter": 12345678901,
}


NVAE_CELLS = {  # as NVAE's utils.get_arch_cells('res_mbconv') has them
    "normal_enc": ["res_bnswish", "res_bnswish"], "down_enc": ["res_bnswish", "res_bnswish"], "normal_dec": ["mconv_e6k5g0"],
    "up_dec": ["mconv_e6k5g0"], "normal_pre": ["res_bnswish", "res_bnswish"], "down_pre": ["res_bnswish", "res_bnswish"],
    "normal_post": ["mconv_e3k5g0"], "up_post": ["mconv_e3k5g0"], "ar_nn": [""],
}


def header_crc(metadata, tensors):
    """CRC of "key NUL value NUL" of the other metadata and of "name NUL F32[2,3] NUL" of the tensors."""
    text = "".join(f"{key}\0{metadata[key]}\0" for key in sorted(metadata) if key != "header_crc32")
    text += "".join(f"{key}\0{tensors[key]['dtype']}{str(tensors[key]['shape']).replace(' ', '')}\0" for key in sorted(tensors))
    return f"{zlib.crc32(text.encode()):08x}"


def read_weights(path):
    """A second reader of the container: metadata and {name: (shape, bytes)}."""
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert length % 8 == 0 and list(header) == sorted(header) and metadata["crc32"] == f"{zlib.crc32(data[8 + length:]):08x}"
    assert all(entry["dtype"] == "F32" for entry in header.values()) and metadata["header_crc32"] == header_crc(metadata, header)
    body = data[8 + length :]
    return metadata, {key: (entry["shape"], body[slice(*entry["data_offsets"])]) for key, entry in header.items()}


class ToolTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, file_name):
        return os.path.join(self.folder, file_name)

    def run_tool(self, tool, *args, **settings):
        return subprocess.run([sys.executable, "-B", "-W", "error", os.path.join(TOOLS, tool), *args], capture_output=True, text=True,
                              cwd=self.folder, timeout=200, check=False, **settings)

    def expect_done(self, tool, *args):
        result = self.run_tool(tool, *args)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def expect_refused(self, code, words, tool, *args, **settings):
        """One line on stderr that has the words, nothing on stdout, no file left behind."""
        before = sorted(os.listdir(self.folder))
        result = self.run_tool(tool, *args, **settings)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, result.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        return result.stderr
