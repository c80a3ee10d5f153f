"""Numbers of any number of bits from the heads of AV1 and JPEG XL codestreams."""

from __future__ import annotations


class Bits:
    """Reads a codestream's head bit by bit.

    Args:
        first: which bit of a byte comes first: its "highest" (AV1) or its "lowest" (JPEG XL).
    """

    def __init__(self, data: bytes, first: str) -> None:
        order = slice(None, None, -1) if first == "lowest" else slice(None)
        self._bits = "".join(f"{byte:08b}"[order] for byte in data)
        self._lowest_first = first == "lowest"
        self._at = 0

    def number(self, bits: int) -> int:
        """The next unsigned number.

        Raises:
            ValueError: the head ends within it.
        """
        part = self._bits[self._at : self._at + bits]
        if len(part) < bits:
            raise ValueError("its codestream ends in the header")
        self._at += bits
        return int((part[::-1] if self._lowest_first else part) or "0", 2)

    def flag(self) -> bool:
        """The next bit."""
        return bool(self.number(1))
