"""Writes PyTorch's zip format (torch.save of 1.6 and later): a protocol 2 pickle that names storages, and an entry for each storage."""
from __future__ import annotations

import math
import struct
import zipfile
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Callable

from restricted_pickle import OrderedEntries, Record

_FOLDER = "archive"
_ALIGNMENT = 64  # of tensor data in the file, as torch.save keeps
_STORAGE_TYPES = {"float32": "FloatStorage", "int64": "LongStorage"}


@dataclass(frozen=True)
class NewTensor:
    """A contiguous tensor to be written. Two with one `key` share their storage."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    data: Callable[[], bytes] = field(compare=False)


class _PickleWriter:
    """Protocol 2, without memo: plain containers, texts, numbers, tensors; Record becomes argparse.Namespace."""

    def __init__(self) -> None:
        self.out = bytearray(b"\x80\x02")
        self.storages: dict[str, tuple[int, NewTensor]] = {}  # by key: number in the archive

    def write(self, value: Any) -> None:
        if isinstance(value, NewTensor):
            self._tensor(value)
        elif isinstance(value, Record):
            self.out += b"cargparse\nNamespace\n)\x81}"
            self._items(value)
            self.out += b"b"
        elif isinstance(value, OrderedEntries):
            self.out += b"ccollections\nOrderedDict\n)R"
            self._items(value)
        elif isinstance(value, dict):
            self.out += b"}"
            self._items(value)
        elif isinstance(value, (list, tuple)):
            self.out += b"](" if isinstance(value, list) else b"("
            for item in value:
                self.write(item)
            self.out += b"e" if isinstance(value, list) else b"t"
        else:
            self._plain(value)

    def _plain(self, value: Any) -> None:
        if value is None or isinstance(value, bool):
            self.out += {None: b"N", True: b"\x88", False: b"\x89"}[value]
        elif isinstance(value, int) and -(1 << 31) <= value < 1 << 31:
            self.out += b"J" + struct.pack("<i", value)
        elif isinstance(value, int):
            self.out += b"\x8a\x08" + struct.pack("<q", value)
        elif isinstance(value, float):
            self.out += b"G" + struct.pack(">d", value)
        elif isinstance(value, str):
            data = value.encode()
            self.out += b"X" + struct.pack("<I", len(data)) + data
        else:
            raise TypeError(f"{type(value).__name__} is not written")

    def _items(self, value: dict[str, Any]) -> None:
        self.out += b"("
        for key, item in value.items():
            self.write(key)
            self.write(item)
        self.out += b"u"

    def _tensor(self, tensor: NewTensor) -> None:
        """torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)"""
        number, _ = self.storages.setdefault(tensor.key, (len(self.storages), tensor))
        strides = tuple(math.prod(tensor.shape[i + 1 :]) for i in range(len(tensor.shape)))
        self.out += b"ctorch._utils\n_rebuild_tensor_v2\n(("
        self.write("storage")
        self.out += f"ctorch\n{_STORAGE_TYPES[tensor.dtype]}\n".encode()
        for item in (str(number), "cpu", math.prod(tensor.shape)):
            self.write(item)
        self.out += b"tQ"
        for item in (0, tensor.shape, strides, False, OrderedEntries()):
            self.write(item)
        self.out += b"tR"


def write_pytorch(file: BinaryIO, root: Any) -> None:
    """torch.save(root, file), one tensor in memory at a time."""
    writer = _PickleWriter()
    writer.write(root)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        def add(name: str, data: bytes) -> None:
            info = zipfile.ZipInfo(f"{_FOLDER}/{name}", (1980, 1, 1, 0, 0, 0))
            padding = -(file.tell() + 30 + len(info.filename) + 4) % _ALIGNMENT
            info.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
            archive.writestr(info, data)

        add("data.pkl", bytes(writer.out) + b".")
        add("byteorder", b"little")
        for number, tensor in writer.storages.values():
            add(f"data/{number}", tensor.data())
        add("version", b"3\n")
