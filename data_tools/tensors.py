"""Tensors of a PyTorch file as descriptions, and what a pickle may call to make them. Nothing here reads tensor data."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable

from refusal import refuse, shown
from restricted_pickle import Builder, OrderedEntries

MAX_RANK = 16
ITEM_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1}
_STORAGE_TYPES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16", "LongStorage": "int64",
    "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
}


@dataclass
class Storage:
    """A flat buffer in the file. Its device (cpu, cuda:0, ...) is where it was, and of no use here."""

    key: str
    dtype: str
    count: int  # elements

    @property
    def num_bytes(self) -> int:
        return self.count * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Tensor:
    storage: Storage
    offset: int  # in elements, like the strides
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.shape)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _sizes(name: str, value: Any) -> tuple[int, ...]:
    if type(value) not in (tuple, list) or len(value) > MAX_RANK or not all(_is_size(v) for v in value):
        refuse(f"a tensor's {name} is not up to {MAX_RANK} numbers that are 0 or more; the file is damaged")
    return tuple(value)


def make_tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    """Checked so that no element lies outside the storage and there are no more elements than it has."""
    if type(storage) is not Storage:
        refuse("a tensor is built on something that is not a storage; the file is damaged")
    shape, strides = _sizes("shape", shape), _sizes("strides", strides)
    if len(shape) != len(strides) or not _is_size(offset):
        refuse(f"a tensor has {len(shape)} sizes, {len(strides)} strides and an offset that is not 0 or more; the file is damaged")
    tensor = Tensor(storage, offset, shape, strides)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides))
    if tensor.count > storage.count or (tensor.count > 0 and last >= storage.count):
        refuse(f"a tensor of shape {list(shape)}, strides {list(strides)}, offset {offset} does not fit its storage '{shown(storage.key)}' "
               f"of {storage.count} elements; the file is damaged")
    return tensor


def _rebuild_tensor(*args: Any) -> Tensor:
    if len(args) != 4:
        refuse(f"torch._utils._rebuild_tensor has {len(args)} arguments; expected 4")
    return make_tensor(*args)


def _rebuild_tensor_v2(*args: Any) -> Tensor:
    if len(args) not in (6, 7):
        refuse(f"torch._utils._rebuild_tensor_v2 has {len(args)} arguments; expected 6")
    if args[5] not in ({}, None) or (len(args) == 7 and args[6] not in ({}, None)):
        refuse("a tensor carries backward hooks or views (conj, neg); save its detached clone")
    return make_tensor(*args[:4])


def _rebuild_parameter(*args: Any) -> Tensor:
    if len(args) != 3 or type(args[0]) is not Tensor or type(args[2]) not in (dict, OrderedEntries) or args[2]:
        refuse("torch._utils._rebuild_parameter: expected a tensor, a flag and no hooks")
    return args[0]


TENSOR_BUILDERS = [
    Builder("torch._utils", "_rebuild_tensor", _rebuild_tensor),
    Builder("torch._utils", "_rebuild_tensor_v2", _rebuild_tensor_v2),
    Builder("torch._utils", "_rebuild_parameter", _rebuild_parameter),
    *[Builder(module, name, None) for name in _STORAGE_TYPES for module in ("torch", "torch.cuda")],
]


class StorageTable:
    """The storages that a pickle names. `size_of` gives a storage's bytes in the file where that is known beforehand."""

    def __init__(self, size_of: Callable[[str], int] | None) -> None:
        self.storages: dict[str, Storage] = {}
        self._size_of = size_of

    def persistent(self, identity: Any) -> Storage:
        """('storage', torch.FloatStorage, key, device, elements), in legacy files with a view that is always None."""
        if type(identity) is not tuple or not identity or identity[0] != "storage":
            kind = identity[0] if type(identity) is tuple and identity else identity
            refuse(f"it refers to an outside object of kind '{shown(kind)}'; expected a storage. A model saved whole holds code: "
                   "save its state_dict()")
        builder = identity[1] if len(identity) in (5, 6) else None
        if type(builder) is not Builder or builder.name not in _STORAGE_TYPES:
            refuse("a storage has a type that is not one of torch's; the file is damaged")
        _, _, key, device, count = identity[:5]
        if type(key) is not str or type(device) is not str or not _is_size(count):
            refuse("a storage has no key, device or number of elements; the file is damaged")
        if len(identity) == 6 and identity[5] is not None:
            refuse(f"storage '{shown(key)}' is a view of another (PyTorch before 0.4); load and save the file in a newer PyTorch")
        storage = Storage(key, _STORAGE_TYPES[builder.name], count)
        known = self.storages.setdefault(key, storage)
        if known != storage:
            refuse(f"storage '{shown(key)}' is {known.count} of {known.dtype} in one place and {count} of {storage.dtype} in another")
        if known is storage and self._size_of is not None and (got := self._size_of(key)) != storage.num_bytes:
            refuse(f"storage '{shown(key)}' of {count} {storage.dtype} needs {storage.num_bytes} bytes, its entry in the file has {got}")
        return known
