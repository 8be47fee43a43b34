"""Reads one pickle without running anything in it.

A pickle is a program for a stack machine. This machine knows the few operations that plain containers, tensors and
argparse.Namespace need. It never looks up a Python object by name: a name (GLOBAL) is one of the builders given, or refused.
Only those builders can be called; no attribute of anything is read or set. Sizes, counts and depth are capped.
"""
from __future__ import annotations

import struct
from typing import Any, BinaryIO, Callable

from refusal import Refusal, refuse, shown

MAX_BYTES = 64 << 20  # of one pickle; a checkpoint of 330 M parameters with its optimiser has about 5 MB
MAX_OPERATIONS = 4_000_000
MAX_MARKS = 1000  # depth of nested containers
MAX_NAME = 256
MAX_INTEGER_BYTES = 16
MAX_COPIED = 1_000_000  # entries of containers that are copied; a checkpoint has some 20,000


class OrderedEntries(dict):
    """collections.OrderedDict"""


class Record(dict):
    """argparse.Namespace, its attributes as entries"""


class Builder:
    """A name that a pickle may call: `reduce` checks its arguments and makes a value of them."""

    def __init__(self, module: str, name: str, reduce: Callable[..., Any] | None) -> None:
        self.module, self.name, self.reduce = module, name, reduce


def _ordered(*args: Any) -> OrderedEntries:
    pairs = args[0] if len(args) == 1 else []
    if len(args) > 1 or type(pairs) is not list or any(type(p) not in (list, tuple) or len(p) != 2 for p in pairs):
        refuse("collections.OrderedDict is called with something other than a list of pairs")
    return OrderedEntries((_key(key), value) for key, value in pairs)


def _key(key: Any) -> Any:
    if type(key) not in (str, int, float, bool, bytes, type(None)):
        refuse(f"a dictionary key is a {shown(key)}; expected a text or a number")
    return key


_ORDERED = Builder("collections", "OrderedDict", _ordered)
_NAMESPACE = Builder("argparse", "Namespace", None)

_operations: dict[int, Callable[["PickleMachine"], None]] = {}


class PickleMachine:
    def __init__(self, stream: BinaryIO, where: str, builders: list[Builder], persistent: Callable[[Any], Any]) -> None:
        """`stream` stands at the pickle's first byte; `persistent` makes a storage of a persistent id."""
        self._stream, self._where, self._persistent = stream, where, persistent
        self._builders = {(b.module, b.name): b for b in [*builders, _ORDERED, _NAMESPACE]}
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._used = self._copied = 0

    def load(self) -> Any:
        try:
            for _ in range(MAX_OPERATIONS):
                code = self.read(1)[0]
                if code == 0x2E:  # STOP
                    if self._marks or len(self._stack) != 1:
                        refuse("the pickle ends with something other than one value; the file is damaged")
                    return self._stack[0]
                if code not in _operations:
                    refuse(f"operation {code:#04x} is refused: no checkpoint of plain tensors needs it")
                _operations[code](self)
        except Refusal as refusal:
            refuse(f"{self._where}, byte {self._used} of the pickle: {refusal}")
        return refuse(f"{self._where}: a pickle of more than {MAX_OPERATIONS} operations; no checkpoint of these models needs as many")

    # --- input
    def read(self, count: int) -> bytes:
        if not 0 <= count <= MAX_BYTES - self._used:
            refuse(f"{count} more bytes are asked for; a pickle may have {MAX_BYTES} in all")
        data = self._stream.read(count)
        self._used += len(data)
        if len(data) != count:
            refuse("the file ends in the middle of the pickle: it is truncated; copy it again")
        return data

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.read(struct.calcsize(form)))[0]

    def line(self) -> str:
        data = self._stream.readline(MAX_NAME + 1)
        self._used += len(data)
        if not data.endswith(b"\n"):
            refuse(f"a name has no end within {MAX_NAME} bytes")
        return self.decode(data[:-1], "utf-8")

    @staticmethod
    def decode(data: bytes, encoding: str) -> str:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            return refuse("a text is not UTF-8; the file is damaged")

    # --- the stack
    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            refuse("the pickle takes a value that is not there; the file is damaged")
        return self._stack.pop()

    def top(self) -> Any:
        self.push(value := self.pop())
        return value

    def open(self) -> None:
        if len(self._marks) >= MAX_MARKS:
            refuse(f"containers nested more than {MAX_MARKS} deep")
        self._marks.append(len(self._stack))

    def close(self) -> list[Any]:
        if not self._marks:
            refuse("the pickle closes a list that was never opened; the file is damaged")
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def remember(self, index: int | None) -> None:
        self._memo[len(self._memo) if index is None else index] = self.top()

    def recall(self, index: int) -> None:
        if index not in self._memo:
            refuse(f"the pickle refers to value {index}, which was never stored; the file is damaged")
        self.push(self._memo[index])

    # --- what operations share
    def integer(self, size: int) -> int:
        if not 0 <= size <= MAX_INTEGER_BYTES:
            refuse(f"an integer of {size} bytes; expected at most {MAX_INTEGER_BYTES}")
        return int.from_bytes(self.read(size), "little", signed=True)

    def extend(self, values: list[Any]) -> None:
        if type(target := self.top()) is not list:
            refuse(f"values are appended to {_describe(target)}; expected a list")
        target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.top()
        if type(target) not in (dict, OrderedEntries) or len(values) % 2 != 0:
            refuse(f"entries are set in {_describe(target)}; expected a dictionary and pairs")
        for i in range(0, len(values), 2):
            target[_key(values[i])] = values[i + 1]

    def builder(self, module: Any, name: Any) -> None:
        builder = self._builders.get((module, name)) if type(module) is str and type(name) is str else None
        if builder is None:
            refuse(f"it asks for '{shown(module)}.{shown(name)}', which is refused: only tensors, plain containers, "
                   "collections.OrderedDict and argparse.Namespace are built, and nothing was run. Save the weights alone, in PyTorch: "
                   "torch.save({'state_dict': ..., 'args': ...}, file)")
        self.push(builder)

    def call(self) -> None:
        args, builder = self.pop(), self.pop()
        if type(builder) is not Builder or builder.reduce is None or type(args) is not tuple:
            refuse(f"it calls {_describe(builder)}; expected one of the names that build a tensor or an ordered dictionary")
        if builder is _ORDERED:
            self.count_copies(*args)
        self.push(builder.reduce(*args))

    def make_object(self) -> None:
        args, builder = self.pop(), self.pop()
        if builder is not _NAMESPACE or type(args) is not tuple or args:
            refuse(f"it makes an object of {_describe(builder)}; expected argparse.Namespace without arguments")
        self.push(Record())

    def set_state(self) -> None:
        state, target = self.pop(), self.top()
        if type(target) is OrderedEntries and type(state) is dict:
            return  # a state_dict's _metadata: versions of modules, of no use here
        if type(target) is not Record or type(state) is not dict or any(type(key) is not str for key in state):
            refuse(f"it sets the state of {_describe(target)}; expected argparse.Namespace or collections.OrderedDict")
        self.count_copies(state)
        target.update(state)

    def count_copies(self, *containers: Any) -> None:
        """A container that stands in the pickle once may be copied by every few bytes of it: what that makes is counted."""
        self._copied += sum(len(container) for container in containers if type(container) in (list, tuple, dict, OrderedEntries))
        if self._copied > MAX_COPIED:
            refuse(f"it copies more than {MAX_COPIED} entries of its containers; no checkpoint of these models needs as many")

    def persistent(self) -> None:
        self.push(self._persistent(self.pop()))

    def protocol(self) -> None:
        if not 2 <= (protocol := self.number("<B")) <= 5:
            refuse(f"pickle protocol {protocol}; expected 2 to 5, as PyTorch writes")


def _describe(value: Any) -> str:
    return f"'{value.module}.{value.name}'" if type(value) is Builder else f"a value of type {type(value).__name__}"


def _constant(code: int, make: Callable[[], Any]) -> None:
    _operations[code] = lambda m: m.push(make())


def _string(code: int, form: str, encoding: str | None) -> None:
    def run(m: PickleMachine) -> None:
        data = m.read(m.number(form))
        m.push(data if encoding is None else m.decode(data, encoding))

    _operations[code] = run


for _code, _make in {0x4E: lambda: None, 0x88: lambda: True, 0x89: lambda: False, 0x29: tuple, 0x7D: dict, 0x5D: list}.items():
    _constant(_code, _make)  # NONE NEWTRUE NEWFALSE EMPTY_TUPLE EMPTY_DICT EMPTY_LIST
for _code, _form in {0x4B: "<B", 0x4D: "<H", 0x4A: "<i", 0x47: ">d"}.items():  # BININT1 BININT2 BININT BINFLOAT
    _operations[_code] = lambda m, form=_form: m.push(m.number(form))
for _code, _form in {0x8C: "<B", 0x58: "<I", 0x8D: "<Q"}.items():  # SHORT_BINUNICODE BINUNICODE BINUNICODE8
    _string(_code, _form, "utf-8")
for _code, _form in {0x55: "<B", 0x54: "<i"}.items():  # SHORT_BINSTRING BINSTRING, of Python 2
    _string(_code, _form, "latin-1")
for _code, _form in {0x43: "<B", 0x42: "<I", 0x8E: "<Q"}.items():  # SHORT_BINBYTES BINBYTES BINBYTES8
    _string(_code, _form, None)
for _code, _count in {0x85: 1, 0x86: 2, 0x87: 3}.items():  # TUPLE1 TUPLE2 TUPLE3
    _operations[_code] = lambda m, count=_count: m.push(tuple([m.pop() for _ in range(count)][::-1]))
_operations.update({
    0x8A: lambda m: m.push(m.integer(m.number("<B"))),  # LONG1
    0x8B: lambda m: m.push(m.integer(m.number("<i"))),  # LONG4
    0x71: lambda m: m.remember(m.number("<B")),  # BINPUT
    0x72: lambda m: m.remember(m.number("<I")),  # LONG_BINPUT
    0x94: lambda m: m.remember(None),  # MEMOIZE
    0x68: lambda m: m.recall(m.number("<B")),  # BINGET
    0x6A: lambda m: m.recall(m.number("<I")),  # LONG_BINGET
    0x28: PickleMachine.open,  # MARK
    0x74: lambda m: m.push(tuple(m.close())),  # TUPLE
    0x61: lambda m: m.extend([m.pop()]),  # APPEND
    0x65: lambda m: m.extend(m.close()),  # APPENDS
    0x73: lambda m: m.set_items([m.pop(), m.pop()][::-1]),  # SETITEM
    0x75: lambda m: m.set_items(m.close()),  # SETITEMS
    0x30: lambda m: m.pop() and None,  # POP
    0x31: lambda m: m.close() and None,  # POP_MARK
    0x32: lambda m: m.push(m.top()),  # DUP
    0x63: lambda m: m.builder(m.line(), m.line()),  # GLOBAL
    0x93: lambda m: m.builder(*[m.pop(), m.pop()][::-1]),  # STACK_GLOBAL
    0x51: PickleMachine.persistent,  # BINPERSID
    0x52: PickleMachine.call,  # REDUCE
    0x81: PickleMachine.make_object,  # NEWOBJ
    0x62: PickleMachine.set_state,  # BUILD
    0x80: PickleMachine.protocol,  # PROTO
    0x95: lambda m: m.read(8) and None,  # FRAME: its length says nothing that the operations do not
})
