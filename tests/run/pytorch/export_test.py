"""export_pytorch.py as a user runs it, and the way there and back; with HEBM_PARITY_CASES also for the files of the authors' code."""
from __future__ import annotations

import glob
import json
import os
import struct
import unittest

from checkpoint_files import NVAE_CELLS, SMALL_ARGS, Model, ToolTest, header_crc, mapping, namespace, plain, read_weights, write_zip

import energy_checkpoint
import nvae_checkpoint
from pytorch_files import open_pytorch_file
from restricted_pickle import Record


class Export(ToolTest):
    def export(self, weights, *more):
        out = self.path("exported.pt")
        self.expect_done("export_pytorch.py", weights, "-o", out, "--force", *more)
        return out

    def round_trip(self, kind, checkpoint):
        first, second = self.path("first.safetensors"), self.path("second.safetensors")
        self.expect_done("import_pytorch.py", kind, checkpoint, "-o", first, "--force")
        exported = self.export(first)
        self.expect_done("import_pytorch.py", kind, exported, "-o", second, "--force")
        (one, tensors), (two, again) = read_weights(first), read_weights(second)
        self.assertEqual(tensors, again)
        self.assertEqual((one["architecture"], one["crc32"]), (two["architecture"], two["crc32"]))
        return exported

    def compare(self, original, exported, pick):
        """The same names and shapes as the original, which is what load_state_dict(strict=True) asks for, and the same values."""
        with open_pytorch_file(original) as before, open_pytorch_file(exported) as after:
            theirs, ours = pick(before.root), pick(after.root)
            self.assertEqual({k: (v.shape, v.storage.dtype) for k, v in theirs.items()}, {k: (v.shape, v.storage.dtype) for k, v in ours.items()})
            for key, value in theirs.items():
                if not key.endswith("num_batches_tracked"):
                    self.assertEqual(before.read(value), after.read(ours[key]), key)

    def small_nvae(self):
        model = Model(nvae_checkpoint.expected_shapes(nvae_checkpoint.architecture_of_args("", SMALL_ARGS)))
        write_zip(self.path("checkpoint.pt"), mapping({"state_dict": model.state(), "args": namespace(SMALL_ARGS), "arch_instance": plain(NVAE_CELLS)}),
                  model.storages)
        return self.path("checkpoint.pt")

    def test_nvae(self):
        exported = self.round_trip("nvae", self.small_nvae())
        with open_pytorch_file(exported) as file:
            root = file.root
            state = root["state_dict"]
            self.assertEqual(root["arch_instance"], NVAE_CELLS)
            known = {key: value for key, value in SMALL_ARGS.items() if key != "save"}  # paths of the machine are not kept
            known |= {"ada_groups": False, "min_groups_per_scale": 1, "num_mixture_dec": 10}
            self.assertEqual(root["args"] | {"learning_rate": 0.01}, known)
            self.assertIs(type(root["args"]), dict)
            conv = "dec_tower.1._ops.0.conv.1.conv"
            self.assertEqual(state[f"{conv}.0.weight_normalized"], state[f"{conv}.0.weight"])
            self.assertEqual((state[f"{conv}.1.num_batches_tracked"].shape, state[f"{conv}.1.num_batches_tracked"].storage.dtype), ((), "int64"))
            self.assertNotIn("stem.weight_normalized", state)
        with open_pytorch_file(self.export(self.path("first.safetensors"), "--namespace")) as file:
            self.assertIs(type(file.root["args"]), Record)
            self.assertEqual(file.root["args"], known)

    def test_energy(self):
        nets = [{"kind": "cifar10", "spectral_norm": True, "channels": 3, "width": 4, "side": side} for side in (8, 16)]
        items, storages = {}, {}
        for i, net in enumerate(nets):
            model = Model(energy_checkpoint.expected_shapes(net), first=1000 * i)
            items[f"netE{i}"], storages = model.state(), storages | model.storages
        write_zip(self.path("ebm.pth"), mapping(items), storages)
        exported = self.round_trip("ebm", self.path("ebm.pth"))
        for i in range(2):
            self.compare(self.path("ebm.pth"), exported, lambda root, i=i: root[f"netE{i}"])

    def test_refused(self):
        self.expect_done("import_pytorch.py", "nvae", self.small_nvae(), "-o", self.path("vae.safetensors"))
        with open(self.path("vae.safetensors"), "rb") as file:
            data = file.read()
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + length])
        flipped = bytearray(data)
        flipped[-1] ^= 1
        architecture = json.loads(header["__metadata__"]["architecture"])

        def with_header(change):
            new = json.loads(json.dumps(header))
            change(new)
            metadata = new.pop("__metadata__")
            new["__metadata__"] = {**metadata, "header_crc32": header_crc(metadata, new)}
            text = json.dumps(new).encode()
            return struct.pack("<Q", len(text)) + text + data[8 + length :]

        def with_architecture(**fields):
            return with_header(lambda h: h["__metadata__"].update(architecture=json.dumps({**architecture, **fields})))

        for content, words in (
                (b"", "a safetensors header of 0 bytes in a file of 0"), (b"\xff" * 8 + b"{}", "a safetensors header of 18446744073709551615 bytes"),
                (data[:-1], "the tensors cover"), (data + b"x", "the tensors cover"), (bytes(flipped), "the data have crc32"),
                (data.replace(b"cifar10", b"cifar11"), "the header has header_crc32"),
                (data[:8] + b"[" * length + data[8 + length :], "is not JSON"),
                (with_header(lambda h: h["stem.bias"].update(data_offsets=[0, 16])), "(no overlap, no holes)"),
                (with_header(lambda h: h["stem.bias"].update(shape=[5])), "do not hold shape [5]"),
                (with_header(lambda h: h["stem.bias"].update(shape=[-4])), "no known dtype, shape"),
                (with_header(lambda h: h["stem.bias"].update(dtype="X")), "no known dtype, shape"),
                (with_header(lambda h: h.update({"other": h.pop("stem.bias")})), "has 1 tensors that its architecture does not have: other"),
                (with_header(lambda h: h["__metadata__"].update(format="hebm-other")), "expected hebm-vae or hebm-prior of version 1"),
                (with_architecture(flows=0), "tensors that its architecture does not have"),
                (with_architecture(use_se=True, decoder_cells=2), "tensors that its architecture does not have: dec_tower"), (with_architecture(postprocess_cells=3), "has no tensor 'post_process.2._ops"), (with_architecture(latents="2"), "latents is '2'; expected 1 to 256"),
                (with_architecture(side=48), "is F32 [16, 8, 8], expected F32 [16, 12, 12]"), (with_architecture(likelihood="x"), "likelihood is 'x'")):
            with open(self.path("bad.safetensors"), "wb") as file:
                file.write(content)
            self.expect_refused(4, ["bad.safetensors", words], "export_pytorch.py",
                                self.path("bad.safetensors"), "-o", self.path("out.pt"))
        with open(self.path("bad.safetensors"), "wb") as file:
            file.write(with_architecture(backbone="hvae"))
        self.expect_refused(2, "only nvae has a PyTorch form", "export_pytorch.py", self.path("bad.safetensors"), "-o", self.path("out.pt"))

    def test_recorded_cases(self):
        cases = glob.glob(os.path.join(os.environ.get("HEBM_PARITY_CASES") or "/nonexistent", "*", "checkpoint.pt"))
        if not cases:
            self.skipTest("no recorded cases (HEBM_PARITY_CASES)")
        for checkpoint in cases:
            exported = self.round_trip("nvae", checkpoint)
            self.compare(checkpoint, exported, lambda root: root["state_dict"])
            with open_pytorch_file(checkpoint) as before, open_pytorch_file(exported) as after:
                self.assertEqual(after.root["args"] | before.root["args"], after.root["args"])
            nets = os.path.join(os.path.dirname(checkpoint), "ebm.pth")
            exported = self.round_trip("ebm", nets)
            with open_pytorch_file(nets) as file:
                count = len(file.root)
            for i in range(count):
                self.compare(nets, exported, lambda root, i=i: root[f"netE{i}"])

    def test_pytorch_itself_loads_it(self):
        try:
            import torch
        except ImportError:
            self.skipTest("PyTorch for python3 is not installed")
        path = self.round_trip("nvae", self.small_nvae())
        loaded = torch.load(path, weights_only=True)["state_dict"]
        with open_pytorch_file(path) as file:
            for key, value in file.root["state_dict"].items():
                self.assertEqual(tuple(loaded[key].shape), value.shape)
                self.assertEqual(loaded[key].numpy().tobytes() if value.storage.dtype == "float32" else bytes(8), file.read(value))


if __name__ == "__main__":
    unittest.main()
