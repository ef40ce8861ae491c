"""In: hashes and numbers of names and words. Out: the arrays by which an index finds them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_BLOOM_BITS = 12


def distinct(values: np.ndarray) -> np.ndarray:
    """Sorted, each once; np.unique hashes, which takes longer for this many."""
    values = np.sort(values)
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values


def ranges(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """``first[0] .. first[0] + count[0] - 1, first[1] ..``: the members of all ranges, one after the other."""
    ends = np.cumsum(count)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - (ends - count), count)


def trigrams(words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct three-character sequences of each word, its edges marked (``^fever$``).

    Returns:
        the index of the word, and the sequence as 64 bits (21 a character), sorted by word.
    """
    if not words:
        return np.zeros(0, np.int64), np.zeros(0, np.uint64)
    text = "".join(f"^{word}$" for word in words)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    length = np.array([len(word) + 2 for word in words])
    owner = np.repeat(np.arange(len(words)), length)
    inside = np.flatnonzero(owner[:-2] == owner[2:])
    # Characters by rank: word and sequence then fit into one number, and numbers sort faster than pairs.
    present = np.zeros(int(codes.max()) + 1, bool)
    present[codes] = True
    known = np.flatnonzero(present).astype(np.uint64)
    rank = (np.cumsum(present) - 1)[codes]
    bits = len(known).bit_length()
    if 3 * bits + len(words).bit_length() > 63 and len(words) > 1:
        half = len(words) // 2
        (first, second), (third, fourth) = trigrams(words[:half]), trigrams(words[half:])
        return np.concatenate([first, third + half]), np.concatenate([second, fourth])
    key = owner[inside] << 3 * bits
    for at in range(3):
        key |= rank[inside + at] << (2 - at) * bits
    key = distinct(key)
    mask = (1 << bits) - 1
    first, second, third = (known[key >> shift * bits & mask] for shift in (2, 1, 0))
    return key >> 3 * bits, (first << np.uint64(42)) | (second << np.uint64(21)) | third


def buckets(keys: np.ndarray) -> np.ndarray:
    """Where keys with each value of the leading bits begin: 16 bits or more, two to four keys a bucket.

    The keys are stored without their 16 leading bits, which the bucket tells.
    """
    bits = max(16, int(np.log2(len(keys))) - 1)
    return np.searchsorted(keys >> np.uint64(64 - bits), np.arange((1 << bits) + 1)).astype(np.uint32)


def bloom(prefixes: list[np.ndarray]) -> np.ndarray:
    """A Bloom filter in blocks of 64 bits: three bits of one block a key, 12 bits of filter for each key.

    Args:
        prefixes: keys of 64 bits, any in several of the arrays; the list is emptied to save memory.
    """
    keys = distinct(np.concatenate(prefixes))
    prefixes.clear()
    filter_ = np.zeros(max(1, len(keys) * _BLOOM_BITS // 64), np.uint64)
    for at in range(0, len(keys), 1 << 20):
        part = keys[at : at + (1 << 20)]
        np.bitwise_or.at(filter_, bloom_block(part, len(filter_)), bloom_bits(part))
    return filter_


def bloom_block(keys: np.ndarray, blocks: int) -> np.ndarray:
    """The block of each key: its upper 32 bits, scaled to the number of blocks."""
    return (((keys >> np.uint64(32)) * np.uint64(blocks)) >> np.uint64(32)).astype(np.int64)


def bloom_bits(keys: np.ndarray) -> np.ndarray:
    """The three bits of each key in its block of the filter."""
    one, six = np.uint64(1), np.uint64(63)
    bits = one << (keys & six)
    bits |= one << ((keys >> np.uint64(6)) & six)
    bits |= one << ((keys >> np.uint64(12)) & six)
    return bits
