"""In: a frame of pandas or polars, or an Arrow table, with texts in a column. Out: it with their mentions.

    pmid   abstract             pmid   abstract        spans
    7      Aspirin ...    ->    7      Aspirin ...     [{start: 0, end: 7, type: Chemical, ...}]      per="text"
    8      null                 8      null            null

                                       start   end   type       text      score   concept             per="mention"
                                0      0       7     Chemical   Aspirin   0.98    MESH:D001241

Texts and mentions pass by Arrow: neither column ever is one of Python's objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vaner.errors import VanerError, near
from vaner.tagger import Tagger
from vaner.tagging.rows import spans, strings, tagged

if TYPE_CHECKING:
    import pyarrow as pa

PER = ("text", "mention")
_MENTION = ("start", "end", "type", "text", "score", "concept", "concepts", "fragments", "grounded")


def tag_frame(
    tagger: Tagger,
    frame: Any,
    text: str = "text",
    types: Sequence[str] | None = None,
    dataset: str | None = None,
    *,
    min_score: float | None = None,
    per: str = "text",
    column: str = "spans",
    keep: Sequence[str] = (),
) -> Any:
    """Tag a column of texts.

    Args:
        tagger: any.
        frame: a DataFrame of pandas or polars, or a `pyarrow.Table`; it stays as it is.
        text: the column with the texts: strings of any kind, categories too. Null has no mentions: null again.
        types, dataset: as of `vaner.tagger.Tagger`.
        min_score: what a mention's score must reach, in [0, 1].
        per: ``text``: the frame, with a column of lists of mentions. ``mention``: a row a mention.
        column: its name; one that is there is replaced.
        keep: with ``per="mention"``, columns of the frame to have beside each mention.

    Returns:
        a frame of the same kind. Of pandas, rows keep their index, and those of mentions have the index of their text,
        so that ``frame.join(mentions)`` works; elsewhere ``row``, from 0, says which text a mention is of. The fields
        are those of `vaner.Span`; ``concept`` is the id of its best concept.

    Raises:
        VanerError: another kind of frame, no such column, one that holds no strings, or what the tagger refuses.
    """
    if per not in PER:
        raise VanerError(f"per is {per!r}; choose text (a column of mentions) or mention (a row a mention)")
    kind = _kind(frame)
    _check(list(frame.column_names if kind == "pyarrow" else frame.columns), text, per, keep)
    texts = _texts(kind, frame, text)
    found = spans(tagged(tagger, strings(texts), types, dataset, min_score))
    if per == "text":
        return _with_column(kind, frame, column, found)
    return _mentions(kind, frame, keep, found)


def _kind(frame: Any) -> str:
    """The library that a frame is of."""
    kind, name = type(frame).__module__.split(".")[0], type(frame).__name__
    if kind == "polars" and name == "LazyFrame":
        raise VanerError("a LazyFrame has no rows yet; tag frame.collect()")
    if (kind, name) not in (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table")):
        raise VanerError(
            f"a {kind}.{name} is no frame that can be tagged; give a DataFrame of pandas or polars, or a pyarrow.Table"
        )
    return kind


def _check(columns: list[str], text: str, per: str, keep: Sequence[str]) -> None:
    if isinstance(keep, str):
        raise VanerError(f"keep is {keep!r}; give a list of columns: [{keep!r}]")
    if keep and per != "mention":
        raise VanerError("keep is for per='mention'; with per='text' every column stays, so leave it out")
    for name in (text, *keep):
        if columns.count(name) > 1:
            raise VanerError(f"several columns are called {name!r}; rename all but one")
        if name not in columns:
            listed = ", ".join(map(str, columns)) or "none"
            hint = near(name, [one for one in columns if isinstance(one, str)]) or f"its columns: {listed}"
            option = "text" if name == text else "keep"
            raise VanerError(f"the frame has no column {name!r} ({hint}); name one with {option}=")
    for name in keep:
        if name in (*_MENTION, "row"):
            raise VanerError(f"keep: mentions have a column {name!r} of their own; rename that of the frame")


def _texts(kind: str, frame: Any, name: str) -> pa.Array | pa.ChunkedArray:
    """The column's strings, as Arrow has them already or, of objects, as it makes them."""
    import pyarrow as pa

    try:
        if kind == "polars":
            array = frame.get_column(name).to_arrow()
        elif kind == "pandas":
            array = pa.array(frame[name], from_pandas=True)
        else:
            array = frame.column(name)
    except (pa.ArrowException, TypeError, ValueError) as error:
        said = str(error).split("\n")[0][:200]
        raise VanerError(
            f"the column {name!r} holds not only strings ({said}); convert or drop the others"
        ) from None
    kinds = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if not any(is_one(array.type) for is_one in kinds):
        raise VanerError(
            f"the column {name!r} holds {array.type}, no strings; name the one with the texts (text=)"
        )
    return array


def _with_column(kind: str, frame: Any, name: str, found: pa.ChunkedArray) -> Any:
    if kind == "pandas":
        return frame.assign(**{name: _series(found, frame.index)})
    if kind == "polars":
        import polars

        return frame.with_columns(polars.Series(name, polars.from_arrow(found)))
    if name in frame.column_names:
        return frame.set_column(frame.column_names.index(name), name, found)
    return frame.append_column(name, found)


def _series(array: pa.ChunkedArray, index: Any) -> Any:
    import pandas

    return pandas.Series(pandas.arrays.ArrowExtensionArray(array), index=index)


def _mentions(kind: str, frame: Any, keep: Sequence[str], found: pa.ChunkedArray) -> Any:
    """A row a mention."""
    import pyarrow as pa

    rows, fields = _flat(found)
    if kind == "pandas":
        import pandas

        # Arrow's own types where pandas has none; whatever it has for strings and numbers otherwise.
        made = fields.to_pandas(
            types_mapper=lambda type: pandas.ArrowDtype(type) if type.num_fields else None
        )
        places = rows.to_numpy()
        columns = {name: frame[name].take(places).array for name in keep}
        columns |= {name: made[name].array for name in made.columns}
        return pandas.DataFrame(columns, index=frame.index.take(places))
    if kind == "polars":
        import polars

        kept = [frame.get_column(name).gather(rows.to_numpy()) for name in keep]
        made = polars.DataFrame(pa.table({"row": rows, **_columns(fields)})).get_columns()
        return polars.DataFrame([made[0], *kept, *made[1:]])
    beside = {name: frame.column(name).take(rows) for name in keep}
    return pa.table({"row": rows, **beside, **_columns(fields)})


def _columns(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return dict(zip(table.column_names, table.columns, strict=True))


def _flat(found: pa.ChunkedArray) -> tuple[pa.Array, pa.Table]:
    """For each mention the row that its text has, and its fields."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = found.combine_chunks()
    rows = pc.list_parent_indices(whole).cast(pa.int64())
    mentions = pc.list_flatten(whole)
    concepts = pc.struct_field(mentions, "concepts")
    some = pc.greater(pc.fill_null(pc.list_value_length(concepts), 0), 0)
    first = pc.list_element(pc.if_else(some, concepts, None), 0)
    fields = {name: pc.struct_field(mentions, name) for name in _MENTION if name != "concept"}
    fields["concept"] = pc.struct_field(first, "id")
    return rows, pa.table({name: fields[name] for name in _MENTION})
