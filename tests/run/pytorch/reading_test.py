"""The reader of PyTorch's files: every dtype, stride and format; damage at every byte."""
from __future__ import annotations

import argparse
import collections
import io
import os
import pickle
import struct
import unittest
import zipfile

from checkpoint_files import Model, ToolTest, legacy_bytes, mapping, name, number, plain, storage, tensor, text, write_zip

from import_pytorch import float32_bytes
from pytorch_files import open_pytorch_file
from refusal import Refusal
from restricted_pickle import OrderedEntries, PickleMachine, Record

ITEMS = {  # dtype: three values, as struct writes them
    "float32": struct.pack("<3f", 1.5, -0.0, float("nan")), "float64": struct.pack("<3d", 1.5, 1e300, -2.0),
    "float16": struct.pack("<3e", 1.5, -65504, 2**-24), "bfloat16": bytes([0xC0, 0x3F, 0x80, 0xBF, 0x80, 0x7F]),
    "int64": struct.pack("<3q", -1, 2**62, 3), "int32": struct.pack("<3i", -1, 2**30, 3), "int16": struct.pack("<3h", -1, 2, 3),
    "int8": struct.pack("<3b", -1, 2, 3), "uint8": bytes([0, 255, 3]), "bool": bytes([1, 0, 1]),
}


class Reading(ToolTest):
    def read(self, root, storages, legacy=False):
        path = self.path("file.pt")
        if legacy:
            with open(path, "wb") as file:
                file.write(legacy_bytes(root, storages))
        else:
            write_zip(path, root, storages)
        with open_pytorch_file(path) as file:
            return {key: file.read(value) for key, value in file.root.items()}

    def test_every_dtype_in_both_formats(self):
        for legacy in (False, True):
            root = mapping({d: tensor(storage(d, d, 3, "cuda:0", legacy), [3]) for d in ITEMS})
            storages = [(d, 3, ITEMS[d]) for d in ITEMS] if legacy else ITEMS
            self.assertEqual(self.read(root, storages, legacy), ITEMS)

    def test_strides_offsets_and_shared_storages(self):
        values = list(range(24))
        store = storage("0", "float32", 24)
        views = {  # shape, strides, offset -> the elements in order
            "all": ([2, 3, 4], [12, 4, 1], 0, values),
            "transposed": ([4, 6], [1, 4], 0, [j * 4 + i for i in range(4) for j in range(6)]),
            "channels_last": ([1, 3, 2, 4], [24, 1, 12, 3], 0, [c + h * 12 + w * 3 for c in range(3) for h in range(2) for w in range(4)]),
            "slice": ([2, 2], [4, 1], 9, [9, 10, 13, 14]),
            "column": ([3], [8], 5, [5, 13, 21]),
            "repeated": ([3, 2], [0, 1], 4, [4, 5, 4, 5, 4, 5]),
            "scalar": ([], [], 7, [7]),
            "empty": ([0, 4], [4, 1], 24, []),
            "ones": ([1, 1, 2], [99, 7, 1], 22, [22, 23]),
        }
        root = mapping({key: tensor(store, shape, strides, offset) for key, (shape, strides, offset, _) in views.items()})
        got = self.read(root, {"0": struct.pack("<24f", *values)})
        for key, (_, _, _, expected) in views.items():
            self.assertEqual(list(struct.unpack(f"<{len(expected)}f", got[key])), expected, key)

    def test_halves_and_doubles_become_float32(self):
        self.assertEqual(float32_bytes("x", "float16", ITEMS["float16"]), struct.pack("<3f", 1.5, -65504, 2**-24))
        self.assertEqual(float32_bytes("x", "bfloat16", ITEMS["bfloat16"]), struct.pack("<3f", 1.5, -1.0, float("inf")))
        doubles = (1.5, 0.1, float("-inf"))
        self.assertEqual(float32_bytes("x", "float64", struct.pack("<3d", *doubles)), struct.pack("<3f", *doubles))
        with self.assertRaisesRegex(Refusal, "x: 1e.300 does not fit float32"):
            float32_bytes("x", "float64", ITEMS["float64"])
        with self.assertRaisesRegex(Refusal, "x: has dtype int64; expected a floating-point type"):
            float32_bytes("x", "int64", ITEMS["int64"])

    def test_plain_values_of_every_protocol(self):
        value = {"a": [1, -2, 2**40, -(2**70), 1.5, None, True, False, "\u00e4", b"raw", (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)], 5: {"x": []},
                 "long": "s" * 300, "shared": None}
        value["shared"] = value["a"]
        od = collections.OrderedDict([("k", 1), ("l", [2])])
        for protocol in range(2, 6):
            expected = dict(value)
            if protocol == 2:
                expected["a"] = [v for v in value["a"] if v != b"raw"]  # protocol 2 writes bytes as a call
                expected["shared"] = expected["a"]
            data = pickle.dumps({"v": expected, "n": argparse.Namespace(x=1, y=[od]), "o": od}, protocol=protocol)
            got = PickleMachine(io.BytesIO(data), "test", [], lambda _: None).load()
            self.assertEqual(got["v"], expected)
            self.assertIs(got["v"]["a"], got["v"]["shared"])
            self.assertEqual((type(got["n"]), got["n"]), (Record, {"x": 1, "y": [{"k": 1, "l": [2]}]}))
            self.assertEqual((type(got["o"]), list(got["o"].items())), (OrderedEntries, list(od.items())))

    def test_parameters_and_the_older_builder(self):
        store = storage("0", "float32", 2)
        old = name("torch._utils", "_rebuild_tensor") + b"(" + store + number(0) + plain((2,)) + plain((1,)) + b"tR"
        parameter = name("torch._utils", "_rebuild_parameter") + b"(" + tensor(store, [2]) + b"\x88" + name("collections", "OrderedDict") + b")RtR"
        got = self.read(mapping({"old": old, "parameter": parameter}), {"0": ITEMS["float32"][:8]})
        self.assertEqual(set(got.values()), {ITEMS["float32"][:8]})


class Damage(ToolTest):
    """A file that is cut or has one bit turned is refused, or reads as before; it never ends in another exception."""

    def setUp(self):
        super().setUp()
        shapes = {"a.weight": (2, 3), "b.bias": (3,), "c": ()}
        self.zip = self.path("zip.pt")
        model = Model(shapes)
        write_zip(self.zip, mapping({"state_dict": model.state(), "epoch": number(3)}), model.storages)
        self.legacy = self.path("legacy.pt")
        model = Model(shapes, legacy=True)
        with open(self.legacy, "wb") as file:
            file.write(legacy_bytes(mapping({"state_dict": model.state(), "epoch": number(3)}), model.legacy_storages()))

    def contents(self, path):
        with open_pytorch_file(path) as file:
            return {key: (t.shape, file.read(t)) for key, t in file.root["state_dict"].items()}, file.root["epoch"]

    @staticmethod
    def rewrite(path, data):
        """In place: file systems flush a file that is emptied and written again, which takes 10 ms each time."""
        with open(path, "r+b" if os.path.exists(path) else "wb") as file:
            file.write(data)
            file.truncate()

    def contents_of(self, data):
        path = self.path("damaged.pt")
        self.rewrite(path, data)
        try:
            return self.contents(path)
        except Refusal as refusal:
            self.assertIn(path, str(refusal))
            return None

    def test_truncated_at_every_length(self):
        for path in (self.zip, self.legacy):
            with open(path, "rb") as file:
                data = file.read()
            self.assertIsNotNone(self.contents_of(data))
            for length in range(len(data)):
                self.assertIsNone(self.contents_of(data[:length]), f"{path} cut at {length} of {len(data)}")
            self.assertIsNone(self.contents_of(data + b"x"))

    def test_one_bit_turned_in_an_archive(self):
        """Each entry has a CRC, so no bit of pickle or data may change what is read."""
        expected = self.contents(self.zip)
        with open(self.zip, "rb") as file:
            data = bytearray(file.read())
        seen = 0
        for i in range(len(data)):
            for bit in (0, 3, 7):
                data[i] ^= 1 << bit
                got = self.contents_of(bytes(data))
                data[i] ^= 1 << bit
                self.assertIn(got, (None, expected), f"byte {i}, bit {bit}")
                seen += got is None
        self.assertGreater(seen, len(data))  # of three flips a byte

    def test_one_bit_turned_in_the_legacy_pickle(self):
        """No checksum there: any value may come out, but no other exception and nothing outside a tensor's storage."""
        with open(self.legacy, "rb") as file:
            data = bytearray(file.read())
        for i in range(len(data)):
            for bit in range(8):
                data[i] ^= 1 << bit
                self.rewrite(self.path("damaged.pt"), data)
                data[i] ^= 1 << bit
                try:
                    with open_pytorch_file(self.path("damaged.pt")) as file:
                        file.root
                except Refusal:
                    pass

    def test_a_crc_that_does_not_fit(self):
        with open(self.zip, "rb") as file:
            data = bytearray(file.read())
        with zipfile.ZipFile(self.zip) as archive:
            info = archive.getinfo("archive/data/0")
        data[info.header_offset + 30 + len("archive/data/0")] ^= 1
        with open(self.path("flipped.pt"), "wb") as file:
            file.write(data)
        with self.assertRaisesRegex(Refusal, "flipped.pt: entry 'archive/data/0' is damaged"):
            self.contents(self.path("flipped.pt"))

    def test_other_files_are_told_apart(self):
        tar = bytes(257) + b"ustar" + bytes(250)
        for data, words in ((b"", "neither of PyTorch's formats"), (b"hello", "neither"), (tar, "a tar file"),
                            (pickle.dumps({"a": 1}, protocol=2), "not one that torch.save wrote")):
            with open(self.path("other"), "wb") as file:
                file.write(data)
            with self.assertRaisesRegex(Refusal, words):
                open_pytorch_file(self.path("other"))
        with zipfile.ZipFile(self.path("other.zip"), "w") as archive:
            archive.writestr("a/b", "c")
        with self.assertRaisesRegex(Refusal, "has no NAME/data.pkl"):
            open_pytorch_file(self.path("other.zip"))
        write_zip(self.path("big"), plain({}), {}, extra=[("archive/byteorder", b"big")])
        with self.assertRaisesRegex(Refusal, "not little-endian"):
            open_pytorch_file(self.path("big"))
        with self.assertRaisesRegex(Refusal, "is not a file"):
            open_pytorch_file(self.folder)


if __name__ == "__main__":
    unittest.main()
