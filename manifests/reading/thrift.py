"""Structures in Thrift's compact protocol, as Parquet writes the headers of its pages.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import TypeAlias, Union

Value: TypeAlias = Union[int, "list[Value]", "Struct", None]
"""An integer, a list or a structure; of other types only that there is one."""

Struct: TypeAlias = dict[int, Value]
"""Fields by their number."""

MAX_DEPTH = 8

_TRUE, _FALSE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 8, 9, 10, 11, 12
_INTEGERS = (4, 5, 6)
_SIZES = {3: 1, 7: 8, 13: 16}  # a byte, a double and a UUID


def read_struct(data: bytes) -> tuple[Struct, int]:
    """The structure at the beginning of `data`, and the bytes that it takes.

    Raises:
        IndexError: when `data` ends before it, or holds none.
    """
    reader = _Reader(data)
    return reader.struct(MAX_DEPTH), reader.at


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.at = 0
        self._data = data

    def struct(self, depth: int) -> Struct:
        fields: Struct = {}
        number = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self._integer()
            fields[number] = self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Value:
        if kind in _INTEGERS:
            return self._integer()
        if kind in (_TRUE, _FALSE):
            return int(kind == _TRUE)
        if kind == _BINARY or kind in _SIZES:
            self._skip(self._unsigned() if kind == _BINARY else _SIZES[kind])
            return None
        return self._nested(kind, depth)

    def _nested(self, kind: int, depth: int) -> Value:
        if not depth or kind not in (_STRUCT, _LIST, _SET, _MAP):
            raise IndexError(f"type {kind} is not known, or too deep")
        if kind == _STRUCT:
            return self.struct(depth - 1)
        count, kinds = self._pairs() if kind == _MAP else self._listed()
        return [self._element(one, depth - 1) for _ in range(count) for one in kinds]

    def _listed(self) -> tuple[int, tuple[int, ...]]:
        head = self._byte()
        return (head >> 4 if head >> 4 < 15 else self._unsigned()), (head & 15,)

    def _pairs(self) -> tuple[int, tuple[int, ...]]:
        count = self._unsigned()
        kinds = self._byte() if count else 0
        return count, (kinds >> 4, kinds & 15)

    def _element(self, kind: int, depth: int) -> Value:
        return self._byte() if kind in (_TRUE, _FALSE) else self._value(kind, depth)

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise IndexError("cut off")

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise IndexError("a number of more than 64 bits")

    def _integer(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
