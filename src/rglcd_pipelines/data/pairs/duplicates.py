"""What was seen before, in eight bytes each: eleven million digests fit in 128 to 256 MiB."""

from array import array


class DigestSet:
    """A set of digests by their first eight bytes; among 11M, two collide with a chance of 3 in a million."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, digest: bytes) -> bool:
        value = _value(digest)
        return self._slots[self._slot(value)] == value

    def add(self, digest: bytes) -> None:
        value = _value(digest)
        slot = self._slot(value)
        if self._slots[slot] == value:
            return
        self._slots[slot] = value
        self._count += 1
        if self._count > len(self._slots) * 3 // 4:
            self._grow()

    def _slot(self, value: int) -> int:
        """Where `value` is, or the free slot where it belongs; digests spread evenly by themselves."""
        mask = len(self._slots) - 1
        slot = value & mask
        while self._slots[slot] not in (0, value):
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        old = self._slots
        self._slots = array("Q", bytes(16 * len(old)))
        for value in old:
            if value:
                self._slots[self._slot(value)] = value


def _value(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little") or 1  # 0 marks a free slot
