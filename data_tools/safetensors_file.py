"""The safetensors container (docs/formats.md, "Weights"): u64 header length, JSON header, raw little-endian data."""
from __future__ import annotations

import json
import os
import struct
import tempfile
import zlib
from typing import Any, BinaryIO, Iterable, Iterator

from refusal import EXIT_RUNTIME, EXIT_USAGE, Refusal, refuse, shown

MAX_HEADER_BYTES = 100_000_000
MAX_HEADER_VALUES = 4_000_000  # 20,000 tensors have some 200,000
_ALIGNMENT = 8
_HEADER_CRC, _NO_CRC = "header_crc32", "00000000"
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}


def compact_json(value: Any) -> str:
    """As the C++ side writes it: keys sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_safetensors(path: str, shapes: dict[str, tuple[int, ...]], data: Iterable[bytes], metadata: dict[str, str], force: bool) -> None:
    """Writes float32 tensors, by sorted name; `data` yields theirs in that order, one at a time. The metadata gain `crc32`, of all data,
    and `header_crc32`. Published whole or not at all: written under a temporary name, fsynced, renamed.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted({**metadata, "crc32": _NO_CRC, _HEADER_CRC: _NO_CRC}.items()))}
    offset = 0
    for name in sorted(shapes):
        end = offset + 4 * _count(shapes[name])
        header[name] = {"dtype": "F32", "shape": list(shapes[name]), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > MAX_HEADER_BYTES:
        refuse(f"{path}: a header of {len(text)} bytes, at most {MAX_HEADER_BYTES} are allowed")

    def write(file: BinaryIO) -> None:
        file.write(struct.pack("<Q", len(text)) + text)
        crc = 0
        for name, values in zip(sorted(shapes), data, strict=True):
            if len(values) != 4 * _count(shapes[name]):
                refuse(f"{path}: tensor {shown(name)}: {len(values)} bytes for shape {list(shapes[name])}", EXIT_RUNTIME)
            crc = zlib.crc32(values, crc)
            file.write(values)
        put(file, "crc32", found := f"{crc:08x}")
        put(file, _HEADER_CRC, header_crc32({**metadata, "crc32": found}, {name: ("F32", shape) for name, shape in shapes.items()}))

    def put(file: BinaryIO, key: str, value: str) -> None:
        start = f'"{key}":"'.encode()
        file.seek(8 + text.index(start + _NO_CRC.encode()) + len(start))
        file.write(value.encode())

    publish(path, write, force)


def header_crc32(metadata: dict[str, str], tensors: dict[str, tuple[str, tuple[int, ...]]]) -> str:
    """Of what a header says, however its JSON is laid out: metadata but this one, then each tensor's name, dtype and shape, all by name."""
    texts = [(key, value) for key, value in sorted(metadata.items()) if key != _HEADER_CRC]
    texts += [(name, f"{dtype}[{','.join(map(str, shape))}]") for name, (dtype, shape) in sorted(tensors.items())]
    return f"{zlib.crc32(b''.join(text.encode() + bytes(1) for pair in texts for text in pair)):08x}"


def publish(path: str, write: Any, force: bool) -> None:
    """Calls write(file) on a temporary file beside `path`, then fsyncs and renames it. Refuses to replace a file unless `force`."""
    def check_free() -> None:
        if os.path.lexists(path) and not force:
            refuse(f"{path} exists; give another -o, or --force to replace it", EXIT_USAGE)

    check_free()
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        refuse(f"{folder} is not a folder; make it, or give another -o", EXIT_USAGE)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            write(file)
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
        if force:
            os.replace(temporary, path)
        else:
            _rename_new(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _rename_new(temporary: str, path: str) -> None:
    """A link fails where the name has appeared meanwhile; file systems without links get the plain rename."""
    try:
        os.link(temporary, path)
        os.unlink(temporary)
    except FileExistsError:
        refuse(f"{path} appeared meanwhile; give another -o, or --force to replace it", EXIT_USAGE)
    except OSError:
        os.rename(temporary, path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _count(shape: Iterable[int]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count


class SafetensorsFile:
    """An open file whose header has been checked: no overlap, no holes, every extent fits its shape and the file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = open(path, "rb")
        try:
            self.metadata, self.tensors = self._read_header(os.fstat(self._file.fileno()).st_size)
        except BaseException:
            self._file.close()
            raise

    def _read_header(self, size: int) -> tuple[dict[str, str], dict[str, tuple[str, tuple[int, ...], int]]]:
        head = self._file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, max(0, size - 8)):
            refuse(f"{self.path}: a safetensors header of {length} bytes in a file of {size}; it is truncated or of another format")
        self._start = 8 + length
        return self._parse(self._file.read(length), size - self._start)

    def __enter__(self) -> "SafetensorsFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _parse(self, text: bytes, data_bytes: int) -> tuple[dict[str, str], dict[str, tuple[str, tuple[int, ...], int]]]:
        if sum(text.count(mark) for mark in (b"[", b"{", b",")) > MAX_HEADER_VALUES:
            refuse(f"{self.path}: the safetensors header has more than {MAX_HEADER_VALUES} values; the file is damaged")
        try:
            header = json.loads(text.decode(), object_pairs_hook=_unique)
        except (ValueError, RecursionError, Refusal) as error:
            refuse(f"{self.path}: the safetensors header is not JSON ({shown(str(error), 200)}); the file is damaged")
        metadata = header.pop("__metadata__", {}) if type(header) is dict else None
        if type(metadata) is not dict or any(type(v) is not str for v in metadata.values()):
            refuse(f"{self.path}: the metadata are not texts; the file is damaged")
        tensors: dict[str, tuple[str, tuple[int, ...], int]] = {}
        for name, entry in header.items():
            fields = entry if type(entry) is dict else {}
            dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
            if dtype not in _ITEM_BYTES or not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
                refuse(f"{self.path}: tensor {shown(name)}: no known dtype, shape and two data_offsets; the file is damaged")
            if offsets[1] - offsets[0] != _count(shape) * _ITEM_BYTES[dtype]:
                refuse(f"{self.path}: tensor {shown(name)}: data_offsets {offsets} do not hold shape {shape}; the file is damaged")
            tensors[name] = (dtype, tuple(shape), offsets[0])
        covered = 0
        for name, (dtype, shape, begin) in sorted(tensors.items(), key=lambda item: (item[1][2], _count(item[1][1]))):
            if begin != covered:
                refuse(f"{self.path}: tensor {shown(name)} starts at byte {begin}, expected {covered} (no overlap, no holes)")
            covered += _count(shape) * _ITEM_BYTES[dtype]
        if covered != data_bytes:
            refuse(f"{self.path}: the tensors cover {covered} bytes, the file has {data_bytes}; it is truncated or damaged")
        return metadata, tensors

    def read(self, name: str) -> bytes:
        dtype, shape, begin = self.tensors[name]
        self._file.seek(self._start + begin)
        data = self._file.read(_count(shape) * _ITEM_BYTES[dtype])
        if len(data) != _count(shape) * _ITEM_BYTES[dtype]:
            refuse(f"{self.path}: tensor {shown(name)}: the file became shorter while it was read")
        return data

    def check_crc(self) -> None:
        """Compares header and data with the CRCs that the metadata of imported files have."""
        crc = 0
        self._file.seek(self._start)
        for piece in iter(lambda: self._file.read(1 << 20), b""):
            crc = zlib.crc32(piece, crc)
        header = header_crc32(self.metadata, {name: (dtype, shape) for name, (dtype, shape, _) in self.tensors.items()})
        for key, what, got in (("crc32", "data have", f"{crc:08x}"), (_HEADER_CRC, "header has", header)):
            if got != (expected := self.metadata.get(key, got)):
                refuse(f"{self.path}: the {what} {key} {got}, expected '{shown(expected)}': the file is damaged; import it again")


def _naturals(value: Any) -> bool:
    return type(value) is list and len(value) <= 32 and all(type(v) is int and 0 <= v < 1 << 62 for v in value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        refuse("a name stands there twice")
    return out
