"""Event tables as npz and Parquet files, lossless."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bit.errors import FileFormatError, InputError
from bit.events import EventTable
from bit.files import existing_file, replacing
from bit.io._builder import TableBuilder
from bit.io._metadata import describe, from_json, stored_basis, to_json
from bit.io._plan import Plan, Request, own_plan
from bit.optional import require

_AUX: Final = "aux/"
_METADATA: Final = b"bit_metadata"
_ROW_GROUP: Final = 100_000


# ---------------------------------------------------------------------- npz
def write_npz(
    path: str | os.PathLike[str], table: EventTable, *, configuration: Mapping[str, Any] | None = None
) -> None:
    """Write a table as npz; `read_npz` gives back every bit of it.

    Parameters
    ----------
    path : str or path-like
        The file; an older one is replaced once the new one is whole.
    table : EventTable
        What to write.
    configuration : mapping, optional
        Plain values (as for JSON) that say how the events were made; kept in the metadata.

    Raises
    ------
    InputError
        If an aux array holds Python objects, the configuration is not plain, or the folder does not exist.

    Notes
    -----
    The archive holds ``features`` (n_events, n_features) in its own dtype, ``weights`` (n_events, n_terms)
    float64 in fb, one array ``aux/NAME`` for each aux entry, and ``metadata``, a JSON text: schema
    ``bit-events/1``, coefficients, terms, reference point, names and units of the features, cross-section,
    version, configuration. Nothing is pickled.
    """
    metadata = to_json(describe(table, configuration))
    arrays: dict[str, Any] = {"features": table.features, "weights": table.weights, "metadata": np.array(metadata)}
    for name, values in (table.aux or {}).items():
        if values.dtype.hasobject:
            raise InputError(f"aux[{name!r}] holds Python objects; convert it to numbers or to fixed-width text.")
        arrays[_AUX + name] = values
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_npz(path: str | os.PathLike[str]) -> EventTable:
    """Read a table that `write_npz` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    EventTable
        As it was written: float32 features stay float32.

    Raises
    ------
    InputError
        If there is no such file.
    FileFormatError
        If it is not an npz file, is damaged, or was not written by `write_npz`.
    """
    file = existing_file(path)
    try:
        with open(file, "rb") as raw, np.load(raw, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise FileFormatError(f"{file} is not a whole npz file ({error}); write it again.") from None
    missing = [name for name in ("features", "weights", "metadata") if name not in arrays]
    if missing:
        raise FileFormatError(f"{file} lacks the arrays {missing} of an event table; write it with write_npz.")
    metadata = from_json(str(arrays["metadata"]), file)
    lost = [name for name in metadata["aux"] if _AUX + name not in arrays]
    if lost:
        raise FileFormatError(f"{file} lacks the aux arrays {lost} that its metadata name; write it again.")
    return EventTable(
        arrays["features"],
        arrays["weights"],
        stored_basis(metadata),
        feature_names=tuple(feature["name"] for feature in metadata["features"]),
        units=tuple(feature["unit"] for feature in metadata["features"]),
        aux={name: arrays[_AUX + name] for name in metadata["aux"]},
    )


# ---------------------------------------------------------------------- Parquet
def write_parquet(
    path: str | os.PathLike[str], table: EventTable, *, configuration: Mapping[str, Any] | None = None
) -> None:
    """Write a table as a Parquet file; `read_parquet` gives back every bit of it.

    Parameters
    ----------
    path : str or path-like
        The file; an older one is replaced once the new one is whole.
    table : EventTable
        What to write.
    configuration : mapping, optional
        Plain values (as for JSON) that say how the events were made; kept in the metadata.

    Raises
    ------
    InputError
        If two columns would get one name, an aux array holds neither numbers nor text, the configuration is not
        plain, or the folder does not exist.
    MissingPackageError
        If pyarrow is not installed.

    Notes
    -----
    Columns: one for each feature (its dtype kept), one for each aux array (fixed-size lists where it has more than
    one axis), and one float64 column in fb for each term, named ``w`` (nominal), ``w__cHW`` (first derivative),
    ``w__cHW__cHWtil`` (second derivative). The terms, the reference point, the names and the units stand as JSON
    in the schema metadata ``bit_metadata`` (schema ``bit-events/1``), so that no column name has to be parsed.
    Events are stored in row groups of 100 000, zstd-compressed, pages with checksums.
    """
    pyarrow = require("pyarrow", for_="write_parquet")
    parquet = require("pyarrow.parquet", for_="write_parquet")
    columns = _named_columns(table)
    metadata = describe(table, configuration) | {
        "columns": {kind: list(arrays) for kind, arrays in columns.items()},
        "aux_types": {
            name: {"dtype": values.dtype.str, "shape": list(values.shape[1:])}
            for name, values in columns["aux"].items()
        },
    }
    arrays = {name: values for kind in columns.values() for name, values in kind.items()}
    schema = pyarrow.schema([(name, _arrow(name, values[:0]).type) for name, values in arrays.items()])
    schema = schema.with_metadata({_METADATA: to_json(metadata).encode()})
    # No value of a simulation comes twice: a dictionary would only be built and dropped, while bytes of equal
    # significance beside each other let exponents be compressed.
    split = [*columns["features"], *columns["weights"]]
    encoding = {"use_dictionary": False, "use_byte_stream_split": split, "write_page_checksum": True}
    with (
        replacing(path) as temporary,
        parquet.ParquetWriter(temporary, schema, compression="zstd", **encoding) as writer,
    ):
        for start in range(0, table.n_events, _ROW_GROUP):
            rows = slice(start, start + _ROW_GROUP)
            chunk = [_arrow(name, values[rows]) for name, values in arrays.items()]
            writer.write_table(pyarrow.Table.from_arrays(chunk, schema=schema), row_group_size=_ROW_GROUP)


def require_pyarrow(for_: str) -> None:
    """Refuse to begin work whose result `write_parquet` could not write.

    Parameters
    ----------
    for_ : str
        What needs it, for the message.

    Raises
    ------
    MissingPackageError
        If pyarrow is not installed.
    """
    require("pyarrow", for_=for_)


def _named_columns(table: EventTable) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """All columns by kind and name."""
    columns: dict[str, dict[str, npt.NDArray[Any]]] = {
        "features": {name: table.features[:, k] for k, name in enumerate(table.feature_names)},
        "weights": {"__".join(["w", *term]): table.weights[:, k] for k, term in enumerate(table.basis.terms)},
        "aux": dict(table.aux or {}),
    }
    named = [name for kind in columns.values() for name in kind]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice or len(columns["weights"]) < table.basis.n_terms:
        raise InputError(
            f"two columns would share the name {(twice or ['w__...'])[0]!r} ('w' and 'w__...' are the weights); rename "
            "a feature, an aux array or a coefficient."
        )
    return columns


def _arrow(name: str, values: npt.NDArray[Any]) -> Any:
    """Arrow array of a column."""
    pyarrow = require("pyarrow", for_="write_parquet")
    if values.dtype.kind not in "biufUS" or (values.dtype.itemsize > 8 and values.dtype.kind == "f"):
        raise InputError(f"aux {name!r} has dtype {values.dtype}: Parquet files take numbers, bool and text.")
    flat = np.ascontiguousarray(values).reshape(-1)
    flat = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    array = pyarrow.array(flat, type={"U": pyarrow.string(), "S": pyarrow.binary()}.get(values.dtype.kind))
    if values.ndim == 1:
        return array
    return pyarrow.FixedSizeListArray.from_arrays(array, int(np.prod(values.shape[1:])))


def read_parquet(
    path: str | os.PathLike[str],
    *,
    features: Sequence[str] | None = None,
    params: Sequence[str] | None = None,
    aux: Sequence[str] | None = None,
    max_events: int | None = None,
) -> EventTable:
    """Read a table that `write_parquet` wrote, or some of its columns, group of rows by group of rows.

    Parameters
    ----------
    path : str or path-like
        The file.
    features, aux : sequence of str, optional
        Names or globs (``"jet_*"``) of what to read; default all.
    params : sequence of str, optional
        Coefficients whose terms are kept, the others staying at the reference point; default all.
    max_events : int, optional
        Read at most so many; as with `EventTable.take`, weights are not rescaled.

    Returns
    -------
    EventTable
        As it was written: float32 features stay float32.

    Raises
    ------
    InputError
        If there is no such file, or for an unknown feature, coefficient or aux array (near matches are named).
    FileFormatError
        If it is not a Parquet file, is damaged, or was not written by `write_parquet`.
    MissingPackageError
        If pyarrow is not installed.
    """
    file = existing_file(path)
    if max_events is not None and max_events < 1:
        raise InputError(f"max_events={max_events}: at least one event is needed.")
    for option, names in (("features", features), ("params", params), ("aux", aux)):
        if isinstance(names, str):
            raise InputError(f"{option}={names!r}: give a list of names, such as [{names!r}].")
    with _opened_parquet(file) as source:
        metadata = _parquet_metadata(source, file)
        request = Request(features, params, None, None, None, None, aux)
        plan = own_plan(metadata, metadata["columns"], request, file)
        lost = [name for name in plan.columns if name not in source.schema_arrow.names]
        if lost:
            raise FileFormatError(f"{file} lacks the columns {lost} that its metadata name; write it again.")
        total = source.metadata.num_rows
        builder = TableBuilder(plan, min(total, max_events or total), [_like(source, plan, metadata)])
        for batch in source.iter_batches(batch_size=_ROW_GROUP, columns=plan.columns):
            rows = batch.slice(0, len(builder) - builder.n_filled)
            builder.add(len(rows), partial(_from_arrow, rows, metadata["aux_types"]), file)
            if builder.n_filled == len(builder):
                break
    return builder.table(1.0, str(file))


@contextmanager
def _opened_parquet(file: Path) -> Iterator[Any]:
    """Open a Parquet file; failures of pyarrow inside the block become one kind of error."""
    pyarrow = require("pyarrow", for_="read_parquet")
    parquet = require("pyarrow.parquet", for_="read_parquet")
    try:
        with parquet.ParquetFile(file, page_checksum_verification=True) as source:
            yield source
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{file} is not a whole Parquet file ({reason}); write it again.") from None


def _parquet_metadata(source: Any, file: Path) -> dict[str, Any]:
    text = (source.schema_arrow.metadata or {}).get(_METADATA)
    if text is None:
        raise FileFormatError(
            f"{file} was not written by write_parquet; read it with pandas.read_parquet and make an EventTable of its "
            "columns (PolynomialBasis.from_base_points gives derivatives from weights at base points)."
        )
    metadata = from_json(text.decode(), file)
    missing = [key for key in ("columns", "aux_types") if key not in metadata]
    if missing:
        raise FileFormatError(f"{file}: the metadata lack {missing}; write the file again.")
    return metadata


def _like(source: Any, plan: Plan, metadata: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Arrays without events, with the dtypes and shapes of features and aux."""
    types = {name: kind["dtype"] for name, kind in metadata["aux_types"].items()}
    shapes = {name: kind["shape"] for name, kind in metadata["aux_types"].items()}
    schema = source.schema_arrow
    return {
        name: np.empty((0, *shapes.get(name, ())), types.get(name) or schema.field(name).type.to_pandas_dtype())
        for name in (*plan.features, *plan.aux.values())
    }


def _from_arrow(batch: Any, aux_types: Mapping[str, Any], name: str) -> npt.NDArray[Any]:
    column = batch.column(name)
    kind = aux_types.get(name)
    if kind is None:
        values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return values
    flat = column.flatten() if kind["shape"] else column
    return np.asarray(flat.to_numpy(zero_copy_only=False)).astype(kind["dtype"]).reshape(-1, *kind["shape"])
