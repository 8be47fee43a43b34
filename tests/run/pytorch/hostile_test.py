"""Files that want to run code, to take memory or to leave their folder: each is refused by name, and nothing of it happens."""
from __future__ import annotations

import math
import os
import pickle
import resource
import struct
import unittest
import zipfile

from checkpoint_files import (SMALL_ARGS, ToolTest, document, legacy_bytes, mapping, name, number, ordered, plain, storage, tensor, text,
                              write_zip)

from nvae_checkpoint import architecture_of_args, expected_shapes
from pytorch_files import open_pytorch_file
from refusal import Refusal

STORE = storage("0", "float32", 4)
MEMORY = 1 << 30  # of address space for each tool


class Hostile(ToolTest):
    def expect(self, root, words, storages=None):
        """`root` in an archive and, where it has no storages, in a legacy file too, is refused with the words."""
        path = self.path("hostile.pt")
        for legacy in (False, True) if storages is None else (False,):
            if legacy:
                self.write(legacy_bytes(root, []))
            else:
                write_zip(path, root, {"0": bytes(16)} if storages is None else storages)
            with self.assertRaises(Refusal) as raised:
                open_pytorch_file(path)
            self.assertIn(path, str(raised.exception))
            for word in [words] if isinstance(words, str) else words:
                self.assertIn(word, str(raised.exception))
            self.assertFalse(os.path.exists(self.path("canary")), "something ran")

    def refused(self, words):
        """The same by the tool itself, in little memory."""
        def little_memory():
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

        self.expect_refused(4, words, "import_pytorch.py", "nvae", self.path("hostile.pt"), "-o", self.path("out.safetensors"),
                            preexec_fn=little_memory)
        self.assertFalse(os.path.exists(self.path("canary")), "something ran")

    def expect_tool(self, root, words):
        write_zip(self.path("hostile.pt"), root, {"0": bytes(16)})
        self.refused(words)

    def write(self, data):
        with open(self.path("hostile.pt"), "wb") as file:
            file.write(data)

    def test_calls(self):
        command = f"touch {self.path('canary')}"
        for module, function in (("os", "system"), ("posix", "system"), ("subprocess", "getoutput"), ("nt", "system")):
            self.expect(name(module, function) + b"(" + text(command) + b"tR", f"'{module}.{function}', which is refused")
        code = f"open({self.path('canary')!r}, 'w')"
        for module in ("builtins", "__builtin__"):
            for function in ("eval", "exec", "getattr", "__import__", "open", "set"):
                self.expect(name(module, function) + b"(" + text(code) + b"tR", f"'{module}.{function}', which is refused")
        for module, function in (("torch", "load"), ("torch.hub", "load"), ("torch.jit", "load"), ("numpy.core.multiarray", "scalar"),
                                 ("torch.nn.modules.linear", "Linear"), ("copyreg", "_reconstructor"), ("functools", "partial"),
                                 ("operator", "attrgetter"), ("torch._utils", "_rebuild_qtensor"), ("pathlib", "PosixPath")):
            self.expect(name(module, function) + b")R", f"'{module}.{function}', which is refused")

    def test_what_the_pickle_module_itself_would_run(self):
        class Run:
            def __reduce__(self):
                return os.system, (f"touch {path}",)

        path = self.path("canary")
        for protocol in (2, 3, 4, 5):
            data = pickle.dumps({"state_dict": Run()}, protocol=protocol)
            with zipfile.ZipFile(self.path("hostile.pt"), "w") as archive:
                archive.writestr("archive/data.pkl", data)
            self.refused("'posix.system', which is refused")

    def test_names_with_dots_reach_no_attribute(self):
        for module, function in (("torch._utils", "_rebuild_tensor_v2.__globals__"), ("collections", "OrderedDict.__init__"),
                                 ("torch", "_utils._rebuild_tensor_v2"), ("collections.OrderedDict", "fromkeys"), ("argparse", "_sys.modules")):
            self.expect(name(module, function) + b")R", "which is refused")
            self.expect(text(module) + text(function) + b"\x93)R", "which is refused")  # STACK_GLOBAL

    def test_operations_that_make_objects_otherwise(self):
        self.expect(b"(ios\nsystem\n", "operation 0x69 is refused")  # INST
        self.expect(b"(" + name("collections", "OrderedDict") + b"o", "operation 0x6f is refused")  # OBJ
        self.expect(b"\x82\x01", "operation 0x82 is refused")  # EXT1
        self.expect(b"P1\n", "operation 0x50 is refused")  # PERSID
        self.expect(name("argparse", "Namespace") + b")}\x92", "operation 0x92 is refused")  # NEWOBJ_EX
        self.expect(name("argparse", "Namespace") + b")R", "it calls 'argparse.Namespace'")
        self.expect(name("argparse", "Namespace") + plain(("x",)) + b"\x81", "expected argparse.Namespace without arguments")
        self.expect(name("collections", "OrderedDict") + b")\x81", "it makes an object of 'collections.OrderedDict'")
        self.expect(name("torch", "FloatStorage") + b")R", "it calls 'torch.FloatStorage'")
        self.expect(text("os.system") + b")R", "it calls a value of type str")

    def test_states_are_set_only_where_they_are_data(self):
        state = plain({"__code__": 1, "reduce": 2})
        for target, words in ((name("torch._utils", "_rebuild_tensor_v2"), "'torch._utils._rebuild_tensor_v2'"), (b"}", "a value of type dict"),
                              (b"]", "a value of type list"), (name("argparse", "Namespace"), "'argparse.Namespace'")):
            self.expect(target + state + b"b", ["it sets the state of " + words])
        self.expect(tensor(STORE, [4]) + state + b"b", "it sets the state of a value of type Tensor", {"0": bytes(16)})
        self.expect(name("argparse", "Namespace") + b")\x81" + plain({1: 2}) + b"b", "it sets the state of")
        self.expect(name("argparse", "Namespace") + b")\x81(" + text("x") + number(1) + b"u", "entries are set in a value of type Record")
        self.expect(tensor(STORE, [4]) + number(1) + b"a", "values are appended to a value of type Tensor", {"0": bytes(16)})

    def test_outside_objects(self):
        self.expect(b"(" + text("module") + text("x") + b"tQ", "an outside object of kind 'module'")
        self.expect(plain(("storage", "FloatStorage", "0", "cpu", 4)) + b"Q", "a type that is not one of torch's", {"0": bytes(16)})
        self.expect(number(5) + b"Q", "an outside object of kind 'int'")

    def test_sizes_that_do_not_fit(self):
        fits = "does not fit its storage"
        for shape, strides, offset, words in (([5], [1], 0, fits), ([2, 2], [3, 1], 0, fits), ([4], [1], 1, fits), ([2], [1], -1, "an offset"),
                                              ([-4], [1], 0, "a tensor's shape"), ([4], [-1], 3, "a tensor's strides"), ([2**40, 2**40], [0, 0], 0, fits),
                                              ([2**40], [2**61], 0, fits), ([2**63], [1], 0, "a tensor's shape"), ([1] * 17, [1] * 17, 0, "up to 16"),
                                              ([2], [1, 1], 0, "1 sizes, 2 strides"), ([True], [1], 0, "a tensor's shape"), ([1.0], [1], 0, "shape")):
            self.expect(mapping({"a": tensor(STORE, shape, strides, offset)}), words, {"0": bytes(16)})
        self.expect(tensor(b"N", [1]), "something that is not a storage")
        for count, data, words in ((1 << 40, bytes(16), "needs 4398046511104 bytes, its entry in the file has 16"), (4, bytes(15), "has 15"),
                                   (3, bytes(16), "needs 12 bytes"), (-1, b"", "no key, device or number"), (1 << 62, b"", "no key, device")):
            self.expect(tensor(storage("0", "float32", count), [1]), words, {"0": data})
        self.expect(tensor(storage("9", "float32", 4), [1]), "storage '9' has no entry", {"0": bytes(16)})
        self.expect(mapping({"a": tensor(STORE, [4]), "b": tensor(storage("0", "float64", 2), [2])}), "is 4 of float32 in one place and 2 of float64",
                    {"0": bytes(16)})

    def test_sizes_that_do_not_fit_a_legacy_file(self):
        store = storage("0", "float32", 1 << 40, legacy=True)
        for storages, words in (([("0", 1 << 40, bytes(16))], "needs 4398046511104 bytes, the file ends 16 bytes after its start"),
                                ([], "the list of storages does not fit"), ([("0", 1, b""), ("1", 1, b"")], "the list of storages"),
                                ([("0", 1, b"")], "the file ends 0 bytes after")):
            self.write(legacy_bytes(mapping({"a": tensor(store, [1])}), storages))
            self.refused(words)
        self.write(legacy_bytes(mapping({"a": tensor(storage("0", "float32", 4, legacy=True), [1])}), [("0", 5, bytes(16))]))
        self.refused("has 5 elements in the data, 4 in the pickle")

    def test_memory(self):
        self.expect_tool(b"}" * 5_000_000, "more than 4000000 operations")
        self.expect_tool(b")" + b"\x85" * 3_900_000, "has no 'state_dict'")  # tuples nested 3.9 M deep: made and dropped without recursion
        self.expect_tool(b"N" + b"r\xff\xff\xff\xff", "has no 'state_dict'")  # a memo of 2^32 places is not made
        write_zip(self.path("hostile.pt"), text("x" * (65 << 20)), {})
        self.refused("entry 'archive/data.pkl' has")
        self.expect(b"(" * 2000, "nested more than 1000 deep")

    def test_copies_of_one_container(self):
        """A few bytes copy a container again: 744 KB took 7.4 GiB."""
        pairs = b"](" + b"".join(number(i) + b"N\x86" for i in range(20_000)) + b"e"
        many = b"0" + b"(" + b"h\1h\2R" * 100_000 + b"l"
        self.expect_tool(name("collections", "OrderedDict") + b"q\1" + b"0" + pairs + b"\x85q\2" + many, "copies more than 1000000 entries")
        state = b"}(" + b"".join(text(f"key{i}") + b"N" for i in range(20_000)) + b"u"
        many = b"0" + b"(" + b"h\1)\x81h\2b" * 100_000 + b"l"
        self.expect_tool(name("argparse", "Namespace") + b"q\1" + b"0" + state + b"q\2" + many, "copies more than 1000000 entries")
        self.expect(b"j\xff\xff\xff\xff", "which was never stored")
        self.expect(b"\x8b\xff\xff\xff\x7f", "an integer of 2147483647 bytes")
        self.expect(b"X\xff\xff\xff\xff", "4294967295 more bytes are asked for")
        self.expect(b"\x8d" + b"\xff" * 8, "18446744073709551615 more bytes are asked for")
        self.expect(b"T\xff\xff\xff\xff", "-1 more bytes are asked for")
        self.expect(b"c" + b"a" * 1000, "a name has no end within 256 bytes")

    def test_operations_that_do_not_fit(self):
        self.expect(b"}]Ns", "a dictionary key is a list")
        self.expect(b"}" + plain((1,)) + b"Ns", "a dictionary key is a tuple")  # hashing it could go as deep as the file wants
        self.expect(b"NNe", "closes a list that was never opened")
        self.expect(b"(a", "takes a value that is not there")
        self.expect(b"NN", "ends with something other than one value")
        self.expect(b"\x80\x01N", "pickle protocol 1")
        self.expect(b"\xff", "operation 0xff is refused")

    def test_shared_storages_do_not_multiply(self):
        args = {**SMALL_ARGS, "num_channels_enc": 64, "num_channels_dec": 64}
        shapes = expected_shapes(architecture_of_args("", args))
        count = max(math.prod(shape) for shape in shapes.values())
        state = ordered({key: tensor(storage("0", "float32", count), shape) for key, shape in shapes.items()})
        write_zip(self.path("hostile.pt"), mapping({"state_dict": state, "args": plain(args)}), {"0": bytes(4 * count)})
        self.refused("too many tensors share their storage")

    def test_messages_hide_control_characters(self):
        self.expect_tool(name("os\x1b[31m", "x" * 200) + b")R", ["'os\\x1b[31m.xxx", "xxx...'"])


class HostileArchive(ToolTest):
    def refused(self, words):
        self.expect_refused(4, words, "import_pytorch.py", "nvae", self.path("hostile.pt"), "-o", self.path("out.safetensors"))

    def make(self, entries, compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(self.path("hostile.pt"), "w", compression) as archive:
            archive.writestr(zipfile.ZipInfo("archive/data.pkl"), document(b"}"))
            for entry, data in entries:
                archive.writestr(entry, data)

    def test_names(self):
        for entry in ("../evil", "/evil", "archive/../../evil", "evil"):
            self.make([(entry, b"x")])
            self.refused(["leaves the archive's folder", entry])
        self.make([("archive/a", b"x")])
        for old, new, words in ((b"archive/a", b"archive\\a", "leaves"), (b"archive/a", b"archive\x00a", "leaves")):
            self.patch(old, new)
            self.refused(words)
            self.patch(new, old)
        self.make([("other/data.pkl", document(b"}"))])
        self.refused("has no NAME/data.pkl")

    def patch(self, old, new):
        with open(self.path("hostile.pt"), "rb") as file:
            data = file.read()
        with open(self.path("hostile.pt"), "wb") as file:
            file.write(data.replace(old, new))

    def test_twice(self):
        self.make([("archive/b", b"x"), ("archive/c", b"x")])
        self.patch(b"archive/c", b"archive/b")
        self.refused("entry 'archive/b' stands there twice")

    def test_bomb(self):
        self.make([("archive/data/0", bytes(50_000_000))], zipfile.ZIP_DEFLATED)
        self.refused(["entry 'archive/data/0' is compressed", "zip -0"])

    def test_overlap(self):
        self.make([("archive/a", bytes(200)), ("archive/b", b"x")])
        with open(self.path("hostile.pt"), "rb") as file:
            data = bytearray(file.read())
        at = data.rindex(b"archive/b") - 46  # its record in the directory; the entry's offset is at 42
        first = data.index(b"archive/a") - 30
        data[at + 42 : at + 46] = struct.pack("<I", first + 10)
        with open(self.path("hostile.pt"), "wb") as file:
            file.write(data)
        self.refused("overlaps the entry before it")

    def test_a_million_entries(self):
        record = b"PK\1\2" + bytes(24) + struct.pack("<H", 9) + bytes(16) + b"archive/a"
        directory = record * 1_000_000
        zip64 = b"PK\6\6" + struct.pack("<Q2H2I4Q", 44, 45, 45, 0, 0, 1_000_000, 1_000_000, len(directory), 4)
        locator = b"PK\6\7" + struct.pack("<IQI", 0, 4 + len(directory), 1)
        end = b"PK\5\6" + struct.pack("<4H2IH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        with open(self.path("hostile.pt"), "wb") as file:
            file.write(b"PK\3\4" + directory + zip64 + locator + end)
        self.refused("an archive of 1000000 entries")
        with open(self.path("hostile.pt"), "wb") as file:  # the count lies, the directory is as long
            file.write(b"PK\3\4" + directory + b"PK\5\6" + struct.pack("<4H2IH", 0, 0, 1, 1, len(directory), 4, 0))
        self.refused("an archive of 1 entries and 55000000 bytes of directory")

    def test_torchscript(self):
        self.make([("archive/constants.pkl", document(b")"))])
        self.refused("a TorchScript archive, which holds code")


if __name__ == "__main__":
    unittest.main()
