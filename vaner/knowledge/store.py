"""In: named numpy arrays and a description. Out: one read-only, memory-mapped file, and the arrays back from it.

    magic | version, header length, header CRC | header (JSON) | arrays, each at a multiple of 64 | end mark

The header lists every array's type, shape, place and CRC-32 and the size of the whole file. Opening checks the
header and the size, which costs the same for any file; ``verify`` reads every byte.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vaner.errors import FormatError
from vaner.files import replacing

#: Goes up whenever the arrays or their meaning change.
VERSION = 1

_MAGIC = b"VANER-KB"
_END = b"END-OF-VANER-KB\n"
_FIXED = struct.Struct("<8sIII")
_ALIGN = 64
_CHUNK = 1 << 24


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGN) * _ALIGN


def write(path: str | os.PathLike, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> int:
    """Write the arrays to ``path``, which appears only when it is complete.

    Returns:
        the size of the file in bytes.
    """
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    sections: dict[str, dict[str, Any]] = {
        name: {
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "crc": zlib.crc32(array.reshape(-1).view(np.uint8).data) if array.size else 0,
            "offset": 0,
        }
        for name, array in contiguous.items()
    }
    header = {"size": 0, "sections": sections, "description": dict(description)}
    # The offsets depend on the header's length, so they are counted from a place past it, padded once.
    room = len(json.dumps(header, ensure_ascii=False).encode()) + 24 * (len(sections) + 1)
    offset = _aligned(_FIXED.size + room)
    for name, array in contiguous.items():
        sections[name]["offset"] = offset
        offset = _aligned(offset + array.nbytes)
    size = offset + len(_END)
    header["size"] = size
    encoded = json.dumps(header, ensure_ascii=False).encode().ljust(room)

    with replacing(path) as file:
        file.write(_FIXED.pack(_MAGIC, VERSION, len(encoded), zlib.crc32(encoded)))
        file.write(encoded)
        at = _FIXED.size + len(encoded)
        for name, array in contiguous.items():
            file.write(bytes(sections[name]["offset"] - at))
            file.write(array.reshape(-1).view(np.uint8).data)
            at = sections[name]["offset"] + array.nbytes
        file.write(bytes(offset - at))
        file.write(_END)
    return size


class Store:
    """The arrays of one file, read through a shared memory map.

    Args:
        path: a file made by ``write``.

    Raises:
        FormatError: if the file is no index, one of another version, cut short, or has a damaged header.

    Attributes:
        fingerprint: hash of what the file holds, the same wherever it lies.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        with open(self.path, "rb") as file:
            fixed = file.read(_FIXED.size)
            if len(fixed) < _FIXED.size or not fixed.startswith(_MAGIC):
                raise FormatError(
                    f"{self.path}: not a knowledge-base index; make one with 'python -m vaner kb build'"
                )
            _, version, length, crc = _FIXED.unpack(fixed)
            if version != VERSION:
                raise FormatError(
                    f"{self.path}: index of version {version}, this program reads {VERSION}; build it again"
                )
            encoded = file.read(length)
            if len(encoded) != length or zlib.crc32(encoded) != crc:
                raise FormatError(f"{self.path}: its header is cut short or damaged; build the index again")
            header = json.loads(encoded)
            size = os.fstat(file.fileno()).st_size
            if size != header["size"]:
                raise FormatError(
                    f"{self.path}: {size} bytes where {header['size']} were written, so it was cut short "
                    "or added to; build or copy it again"
                )
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self._map[-len(_END) :] != _END:
            raise FormatError(f"{self.path}: its end is damaged; build or copy it again")
        self.size = size
        # The header has the checksum of every array, so this stands for all of the file.
        self.fingerprint = hashlib.sha256(encoded).hexdigest()
        self.description: dict[str, Any] = header["description"]
        self._sections: dict[str, dict[str, Any]] = header["sections"]
        self.arrays: dict[str, np.ndarray] = {}
        for name, section in self._sections.items():
            count = int(np.prod(section["shape"]))
            array = np.frombuffer(self._map, section["dtype"], count, section["offset"])
            self.arrays[name] = array.reshape(section["shape"])

    def sizes(self) -> dict[str, int]:
        """Bytes of each array."""
        return {name: array.nbytes for name, array in self.arrays.items()}

    def verify(self) -> None:
        """Read every byte and compare it with its checksum.

        Raises:
            FormatError: if an array is damaged.
        """
        for name, section in self._sections.items():
            nbytes, crc = self.arrays[name].nbytes, 0
            for start in range(section["offset"], section["offset"] + nbytes, _CHUNK):
                stop = min(start + _CHUNK, section["offset"] + nbytes)
                crc = zlib.crc32(memoryview(self._map)[start:stop], crc)
            if crc != section["crc"]:
                raise FormatError(f"{self.path}: its part {name!r} is damaged; build or copy it again")


class Strings:
    """A long list of strings, packed: blocks of 128, each compressed.

    Args:
        path: the file they are in.
        data: the compressed blocks, bytes.
        offsets: where each block starts, shape ``(blocks + 1,)``.
        count: number of strings.
    """

    BLOCK = 128

    def __init__(self, path: Path, data: np.ndarray, offsets: np.ndarray, count: int) -> None:
        self._path, self._data, self._offsets, self._count = path, data, offsets, count
        self._last: tuple[int, list[str]] = (-1, [])

    def __len__(self) -> int:
        return self._count

    def block(self, index: int) -> list[str]:
        """The strings ``128 * index`` and on; the block asked last is kept."""
        last = self._last
        if last[0] != index:
            packed = self._data[self._offsets[index] : self._offsets[index + 1]]
            try:
                last = self._last = (index, zlib.decompress(packed.data).decode().split("\n"))
            except (zlib.error, UnicodeDecodeError):
                raise FormatError(
                    f"{self._path}: block {index} of its names is damaged; build or copy it again"
                ) from None
        return last[1]

    def __getitem__(self, index: int) -> str:
        return self.block(index // self.BLOCK)[index % self.BLOCK]


def pack(strings: list[bytes]) -> list[bytes]:
    """Compress strings without line ends (UTF-8) into blocks for Strings; give a multiple of 128 at a time."""
    step = Strings.BLOCK
    return [zlib.compress(b"\n".join(strings[i : i + step]), 6) for i in range(0, len(strings), step)]
