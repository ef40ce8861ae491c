"""In: Arrow's types and arrays. Out: what JSON can say and hold of them; and the same types and arrays again.

    int64                     "int64"                                5
    timestamp[us, tz=UTC]     "timestamp[us, tz=UTC]"                "2020-01-02 03:04:05.000000Z"
    list<struct<a: date32>>   {"list": {"struct": {"a": "date32[day]"}}}   [{"a": "2020-01-02"}]
    binary                    "binary"                               base64
    ClassLabel of `datasets`  {"type": "int64", "feature": {"names": ["no", "yes"], "_type": "ClassLabel"}}   1

So a column's values can go through a Document's metadata, and through any format that keeps it, and come back as they
were. Times of day and durations are whole numbers in their unit; what is no number is "nan" or "inf".
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from vaner.errors import FormatError

if TYPE_CHECKING:
    import pyarrow as pa

_STRINGS = ("string", "large_string", "string_view")
_NUMBER = re.compile(r"u?int\d+|double|float|halffloat")
_ZONED = re.compile(r"timestamp\[(s|ms|us|ns), tz=(.+)\]")
_SIZED = re.compile(r"(decimal\d+|fixed_size_binary)[(\[]([\d, -]+)[)\]]")


def describe(type: pa.DataType, feature: Any = None) -> Any:
    """A type as JSON: its name, or an object for one that holds others.

    Args:
        feature: what `datasets` says of the column; kept where it names classes.
    """
    import pyarrow.types as is_

    described: Any
    if is_.is_struct(type):
        described = {"struct": {field.name: describe(field.type) for field in type}}
    elif is_.is_map(type):
        described = {"map": [describe(type.key_type), describe(type.item_type)]}
    elif is_.is_fixed_size_list(type):
        described = {"fixed_size_list": describe(type.value_type), "size": type.list_size}
    elif is_.is_large_list(type):
        described = {"large_list": describe(type.value_type)}
    elif is_list(type):
        described = {"list": describe(type.value_type)}
    elif is_.is_dictionary(type):
        described = {"dictionary": describe(type.value_type), "indices": str(type.index_type)}
    elif hasattr(type, "storage_type"):  # an extension type
        described = describe(type.storage_type)
    else:
        described = str(type)
    return {"type": described, "feature": feature} if class_names(feature) else described


def is_list(type: pa.DataType) -> bool:
    """Whether a type is one of Arrow's lists of any length."""
    import pyarrow.types as is_

    kinds = (is_.is_list, is_.is_large_list, is_.is_list_view, is_.is_large_list_view)
    return any(kind(type) for kind in kinds)


def class_names(feature: Any) -> list[str] | None:
    """The names of a ClassLabel of `datasets`, or of a list of them; None for another feature."""
    while True:
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif isinstance(feature, Mapping) and "feature" in feature:
            feature = feature["feature"]
        else:
            break
    if isinstance(feature, Mapping) and feature.get("_type") == "ClassLabel":
        return list(feature.get("names") or ())
    return None


def bare(described: Any) -> Any:
    """A description without its feature."""
    return described["type"] if isinstance(described, Mapping) and "type" in described else described


def feature_of(described: Any) -> Any:
    """The feature of a description, or None."""
    return described.get("feature") if isinstance(described, Mapping) else None


def is_text(described: Any) -> bool:
    """Whether a column of this type holds strings."""
    described = bare(described)
    if isinstance(described, Mapping):
        return described.get("dictionary") in _STRINGS
    return described in _STRINGS


def is_number(described: Any) -> bool:
    """Whether a column of this type holds numbers."""
    return isinstance(bare(described), str) and _NUMBER.fullmatch(bare(described)) is not None


def inside(described: Any) -> Any:
    """The type of a list's items; None for what is no list."""
    described = bare(described)
    if isinstance(described, Mapping):
        for kind in ("list", "large_list", "fixed_size_list"):
            if kind in described:
                return described[kind]
    return None


def fields(described: Any) -> Mapping[str, Any]:
    """The fields of a struct; none of what is no struct."""
    described = bare(described)
    return described.get("struct", {}) if isinstance(described, Mapping) else {}


def named(described: Any) -> str:
    """A type in few words, for messages."""
    described = bare(described)
    return described if isinstance(described, str) else next(iter(described))


def type_of(described: Any) -> pa.DataType:
    """The type that :func:`describe` described.

    Raises:
        FormatError: for what is no description.
    """
    import pyarrow as pa

    described = bare(described)
    if isinstance(described, str):
        if zoned := _ZONED.fullmatch(described):
            return pa.timestamp(zoned[1], zoned[2])
        if sized := _SIZED.fullmatch(described):
            sizes = [int(size) for size in sized[2].split(",")]
            return pa.binary(*sizes) if sized[1] == "fixed_size_binary" else getattr(pa, sized[1])(*sizes)
        try:
            return pa.type_for_alias(described)
        except ValueError:
            raise FormatError(f"{described!r} is no type of a column") from None
    match described:
        case {"struct": {**inner}}:
            return pa.struct([(name, type_of(kind)) for name, kind in inner.items()])
        case {"map": [key, value]}:
            return pa.map_(type_of(key), type_of(value))
        case {"fixed_size_list": item, "size": int(size)}:
            return pa.list_(type_of(item), size)
        case {"large_list": item}:
            return pa.large_list(type_of(item))
        case {"list": item}:
            return pa.list_(type_of(item))
        case {"dictionary": value, "indices": indices}:
            return pa.dictionary(type_of(indices), type_of(value))
    raise FormatError(f"{described!r} is no type of a column")


def values(array: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values of an array as JSON can hold them."""
    said = _readable(array.type)
    plain = (array if said == array.type else array.cast(said)).to_pylist()
    return [_plain(value) for value in plain] if _has_leaf(array.type, "binary", "float") else plain


def array(plain: Sequence[Any], type: pa.DataType) -> pa.Array:
    """The array of this type whose :func:`values` these are.

    Raises:
        pyarrow.ArrowException, ValueError, TypeError: for values that are not of the type.
    """
    import pyarrow as pa
    import pyarrow.types as is_

    if type == _readable(type) and not _has_leaf(type, "binary", "float"):
        return pa.array(plain, type)
    missing = pa.array([value is None for value in plain], pa.bool_())
    if is_.is_struct(type):
        parts = [array([None if v is None else v.get(f.name) for v in plain], f.type) for f in type]
        return pa.StructArray.from_arrays(parts, fields=list(type), mask=missing)
    if is_.is_fixed_size_list(type):
        none = [None] * type.list_size
        items = array([x for v in plain for x in (none if v is None else v)], type.value_type)
        return pa.FixedSizeListArray.from_arrays(items, type=type, mask=missing)
    if is_list(type) or is_.is_map(type):
        offsets = [0, *accumulate(len(value or ()) for value in plain)]
        inner = [item for value in plain for item in value or ()]
        if is_.is_map(type):
            keys = array([item["key"] for item in inner], type.key_type)
            items = array([item["value"] for item in inner], type.item_type)
            marked = [None if v is None else o for v, o in zip([*plain, ()], offsets, strict=True)]
            return pa.MapArray.from_arrays(pa.array(marked, pa.int32()), keys, items, type)
        kind = pa.LargeListArray if is_.is_large_list(type) else pa.ListArray
        return kind.from_arrays(offsets, array(inner, type.value_type), mask=missing).cast(type)
    if _is_binary(type):
        return pa.array([None if v is None else base64.b64decode(v) for v in plain], type)
    if is_.is_floating(type):
        return pa.array([None if value is None else float(value) for value in plain], type)
    return pa.array(plain, _readable(type)).cast(type)


def _readable(type: pa.DataType) -> pa.DataType:
    """The type to which a column is cast so that JSON can hold its values; bytes and odd floats come later."""
    import pyarrow as pa
    import pyarrow.types as is_

    if is_.is_struct(type):
        return pa.struct([(field.name, _readable(field.type)) for field in type])
    if is_.is_map(type):
        pair = [("key", _readable(type.key_type)), ("value", _readable(type.item_type))]
        return pa.list_(pa.struct(pair))
    if is_.is_fixed_size_list(type):
        return pa.list_(_readable(type.value_type), type.list_size)
    if is_.is_large_list(type):
        return pa.large_list(_readable(type.value_type))
    if is_list(type):
        return pa.list_(_readable(type.value_type))
    if is_.is_dictionary(type):
        return _readable(type.value_type)
    if hasattr(type, "storage_type"):
        return _readable(type.storage_type)
    if is_.is_time(type) or is_.is_duration(type):
        return pa.int32() if is_.is_time32(type) else pa.int64()
    return pa.string() if is_.is_temporal(type) or is_.is_decimal(type) else type


def _has_leaf(type: pa.DataType, *kinds: str) -> bool:
    import pyarrow.types as is_

    if is_.is_dictionary(type):
        return _has_leaf(type.value_type, *kinds)
    if hasattr(type, "storage_type"):
        return _has_leaf(type.storage_type, *kinds)
    if type.num_fields:
        return any(_has_leaf(type.field(n).type, *kinds) for n in range(type.num_fields))
    return "binary" in kinds and _is_binary(type) or "float" in kinds and is_.is_floating(type)


def _is_binary(type: pa.DataType) -> bool:
    import pyarrow.types as is_

    kinds = (is_.is_binary, is_.is_large_binary, is_.is_fixed_size_binary, is_.is_binary_view)
    return any(kind(type) for kind in kinds)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
