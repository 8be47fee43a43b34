"""PyTorch's two file formats, read by the standard library alone: the zip archive (1.6 and later) and the legacy stream.

The pickle in them is read by restricted_pickle; tensor data stay in the file until read() is asked for one tensor.
"""
from __future__ import annotations

import io
import itertools
import os
import struct
import zipfile
import zlib
from typing import Any, BinaryIO

from refusal import refuse, shown
from restricted_pickle import MAX_BYTES as MAX_PICKLE_BYTES
from restricted_pickle import PickleMachine
from tensors import ITEM_BYTES, TENSOR_BUILDERS, Storage, StorageTable, Tensor

MAX_ENTRIES = 100_000  # of an archive; 330 M parameters with their optimiser have about 20,000
MAX_DIRECTORY_BYTES = 16 << 20
_LEGACY_MAGIC, _LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class PyTorchFile:
    """`root` is what was saved, with Tensor in place of tensors and dicts in place of argparse.Namespace."""

    root: Any

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.path, self._file = path, file
        self._size = os.fstat(file.fileno()).st_size
        self._recent: tuple[str, bytes] = ("", b"")

    def __enter__(self) -> "PyTorchFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, tensor: Tensor) -> bytes:
        """The tensor's elements in order, contiguous, little-endian, in its own dtype."""
        key = tensor.storage.key
        if self._recent[0] != key:
            self._recent = ("", b"")  # let go before the next one is read
            self._recent = (key, self._storage_bytes(tensor.storage))
        return gather(self._recent[1], tensor)

    def _storage_bytes(self, storage: Storage) -> bytes:
        raise NotImplementedError

    def _unpickle(self, stream: BinaryIO, where: str, table: StorageTable | None) -> Any:
        def no_storages(_: Any) -> Any:
            refuse("a tensor stands where none is expected; the file is damaged")

        builders = TENSOR_BUILDERS if table else []
        return PickleMachine(stream, f"{self.path}: {where}", builders, table.persistent if table else no_storages).load()


def gather(data: bytes, tensor: Tensor) -> bytes:
    """Elements of a storage by shape and strides. make_tensor has checked that all lie inside."""
    if tensor.count == 0:
        return b""
    item = ITEM_BYTES[tensor.storage.dtype]
    dims = [(n, stride) for n, stride in zip(tensor.shape, tensor.strides) if n > 1]
    block = 1  # elements that lie together
    while dims and dims[-1][1] == block:
        block *= dims.pop()[0]
    out = bytearray()
    inner, stride = dims.pop() if dims else (1, 0)
    elements = memoryview(data)[: len(data) // item * item].cast({1: "B", 2: "H", 4: "I", 8: "Q"}[item])
    for outer in itertools.product(*(range(0, n * s, s) if s else (0,) * n for n, s in dims)):
        start = tensor.offset + sum(outer)
        if block == 1 and stride > 0:
            out += elements[start : start + (inner - 1) * stride + 1 : stride].tobytes()
        else:
            for i in range(inner):
                out += elements[start + i * stride : start + i * stride + block]
    return bytes(out)


class LegacyFile(PyTorchFile):
    """Four pickles (magic, version, machine, root), one of the storages' keys in order, then each storage: its count and data."""

    def __init__(self, path: str, file: BinaryIO) -> None:
        super().__init__(path, file)
        if self._unpickle(self._file, "magic number", None) != _LEGACY_MAGIC:
            refuse(f"{path}: a pickle, but not one that torch.save wrote; expected a PyTorch checkpoint")
        version = self._unpickle(self._file, "version", None)
        if version != _LEGACY_PROTOCOL:
            refuse(f"{path}: PyTorch's legacy format has a version other than {_LEGACY_PROTOCOL}; load and save it in a newer PyTorch")
        machine = self._unpickle(self._file, "machine", None)
        if type(machine) is not dict or machine.get("little_endian") is not True:
            refuse(f"{path}: was written on a machine that is not little-endian; load and save it on another")
        table = StorageTable(None)
        self.root = self._unpickle(self._file, "contents", table)
        self._starts = self._find_storages(table, self._unpickle(self._file, "keys of the storages", None))

    def _find_storages(self, table: StorageTable, keys: Any) -> dict[str, int]:
        if type(keys) is not list or any(type(key) is not str for key in keys) or sorted(keys) != sorted(table.storages):
            refuse(f"{self.path}: the list of storages does not fit the tensors; the file is damaged")
        starts: dict[str, int] = {}
        position = self._file.tell()
        for key in keys:
            storage = table.storages[key]
            self._file.seek(position)
            head = self._file.read(8)
            position += 8
            if len(head) != 8 or position + storage.num_bytes > self._size:
                refuse(f"{self.path}: storage '{shown(key)}' needs {storage.num_bytes} bytes, the file ends {max(0, self._size - position)} "
                       "bytes after its start: it is truncated; copy it again")
            if (count := struct.unpack("<q", head)[0]) != storage.count:
                refuse(f"{self.path}: storage '{shown(key)}' has {count} elements in the data, {storage.count} in the pickle; it is damaged")
            starts[key] = position
            position += storage.num_bytes
        if position != self._size:
            refuse(f"{self.path}: {self._size - position} bytes stand behind the last storage; the file is damaged")
        return starts

    def _storage_bytes(self, storage: Storage) -> bytes:
        self._file.seek(self._starts[storage.key])
        data = self._file.read(storage.num_bytes)
        if len(data) != storage.num_bytes:
            refuse(f"{self.path}: storage '{shown(storage.key)}': the file became shorter while it was read")
        return data


class ZipFile(PyTorchFile):
    """NAME/data.pkl and NAME/data/KEY, uncompressed; NAME/byteorder says 'little' where it stands."""

    def __init__(self, path: str, file: BinaryIO) -> None:
        super().__init__(path, file)
        check_zip_directory(path, self._file, self._size)
        try:
            self._zip = zipfile.ZipFile(self._file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, UnicodeDecodeError) as error:
            refuse(f"{path}: the archive's directory is damaged ({shown(str(error))}); copy the file again")
        self._entries = self._checked_entries()
        folders = {name.split("/", 1)[0] for name in self._entries}
        if len(folders) != 1 or f"{(folder := folders.pop())}/data.pkl" not in self._entries:
            refuse(f"{path}: a zip archive, but not one that torch.save wrote: it has no NAME/data.pkl")
        self._folder = folder
        if f"{folder}/constants.pkl" in self._entries or any(name.startswith(f"{folder}/code/") for name in self._entries):
            refuse(f"{path}: a TorchScript archive, which holds code; save the state_dict() with torch.save")
        if f"{folder}/byteorder" in self._entries and self._entry("byteorder", 16) != b"little":
            refuse(f"{path}: was written on a machine that is not little-endian; load and save it on another")
        stream = io.BytesIO(self._entry("data.pkl", MAX_PICKLE_BYTES))
        self.root = self._unpickle(stream, f"{folder}/data.pkl", StorageTable(self._storage_size))

    def _checked_entries(self) -> dict[str, zipfile.ZipInfo]:
        out: dict[str, zipfile.ZipInfo] = {}
        end = 0
        for info in sorted(self._zip.infolist(), key=lambda i: i.header_offset):
            name = info.orig_filename
            what = f"{self.path}: entry '{shown(name)}'"
            if name != info.filename or name.startswith("/") or "\\" in name or ".." in name.split("/") or "/" not in name:
                refuse(f"{what}: its name leaves the archive's folder; torch.save writes no such names")
            if name in out:
                refuse(f"{what} stands there twice")
            if info.flag_bits & 0x1 or info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                refuse(f"{what} is compressed or encrypted ({info.compress_size} bytes for {info.file_size}); torch.save writes plain "
                       "entries: unpack the archive and pack it again with zip -0")
            if info.header_offset < end:
                refuse(f"{what} overlaps the entry before it; the file is damaged")
            end = info.header_offset + 30 + len(name) + info.file_size
            if end > self._size:
                refuse(f"{what} has {info.file_size} bytes, more than the file; it is truncated, copy it again")
            out[name] = info
        return out

    def _storage_size(self, key: str) -> int:
        info = self._entries.get(f"{self._folder}/data/{key}")
        if info is None:
            refuse(f"storage '{shown(key)}' has no entry in the archive; the file is damaged")
        return info.file_size

    def _entry(self, name: str, limit: int) -> bytes:
        info = self._entries[f"{self._folder}/{name}"]
        what = f"{self.path}: entry '{shown(info.filename)}'"
        if info.file_size > limit:
            refuse(f"{what} has {info.file_size} bytes; expected at most {limit}")
        try:
            return self._zip.read(info)
        except (zipfile.BadZipFile, EOFError, zlib.error, ValueError, RuntimeError, NotImplementedError) as error:
            return refuse(f"{what} is damaged ({shown(str(error))}); copy the file again")

    def _storage_bytes(self, storage: Storage) -> bytes:
        return self._entry(f"data/{storage.key}", storage.num_bytes)


def check_zip_directory(path: str, file: BinaryIO, size: int) -> None:
    """Reads the archive's last record alone, so that a directory of a million entries is refused before it takes memory."""
    def read_record(position: int, form: str, magic: bytes) -> tuple[int, ...] | None:
        if position < 0:
            return None
        file.seek(position)
        data = file.read(struct.calcsize(form))
        return struct.unpack(form, data)[1:] if data[:4] == magic and len(data) == struct.calcsize(form) else None

    end = size - 22
    record = read_record(end, "<4s4H2IH", b"PK\5\6")
    if record is None or record[6] != 0:
        refuse(f"{path}: the archive's directory is not at its end: the file is truncated or was added to; copy it again")
    count, directory_bytes, start = record[3], record[4], record[5]
    if read_record(end - 20, "<4sIQI", b"PK\6\7") is not None:
        end -= 20 + 56
        record = read_record(end, "<4sQ2H2I4Q", b"PK\6\6")
        if record is None:
            refuse(f"{path}: the archive's zip64 record is damaged; copy the file again")
        count, directory_bytes, start = record[6], record[7], record[8]
    if count > MAX_ENTRIES or directory_bytes > MAX_DIRECTORY_BYTES:
        refuse(f"{path}: an archive of {count} entries and {directory_bytes} bytes of directory; expected at most {MAX_ENTRIES} and "
               f"{MAX_DIRECTORY_BYTES}")
    if start + directory_bytes != end:
        refuse(f"{path}: the archive's directory does not end where its last record starts; the file is damaged")


def open_pytorch_file(path: str) -> PyTorchFile:
    if not os.path.isfile(path):
        refuse(f"{path}: is not a file; give a checkpoint that torch.save wrote", 1)
    file = open(path, "rb")
    try:
        head = file.read(512)
        file.seek(0)
        if head[:4] == b"PK\3\4":
            return ZipFile(path, file)
        if head[:1] == b"\x80":
            return LegacyFile(path, file)
        if head[257:262] == b"ustar":
            refuse(f"{path}: a tar file of PyTorch before 0.1.10; load and save it in a newer PyTorch")
        refuse(f"{path}: neither of PyTorch's formats (a zip archive or a pickle); expected a checkpoint that torch.save wrote")
    except BaseException:
        file.close()
        raise
