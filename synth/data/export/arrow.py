"""Arrow schemas of exported tables, and Parquet in memory; pyarrow is imported when asked for."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from synth.data.export.columns import Kind
from synth.errors import Unavailable

if TYPE_CHECKING:
    import pyarrow as pa

_DTYPES: Mapping[Kind, str] = {
    "text": "string",
    "integer": "int64",
    "float": "float64",
    "flag": "bool",
    "label": "int8",
}


def require_pyarrow() -> None:
    """Say what is missing before anything is written.

    Raises:
        Unavailable: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise Unavailable(
            "this format needs pyarrow", fix="pip install 'medical-image-synthesis[export]'"
        )


def schema_of(columns: Mapping[str, Kind], *, image: bool) -> pa.Schema:
    """Arrow types of the columns.

    Args:
        columns: name -> kind.
        image: put a column ``image`` of encoded files first, and the features by which
            ``datasets`` decodes it.
    """
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "int8": pa.int8(),
    }
    fields = [(name, types[_DTYPES[kind]]) for name, kind in columns.items()]
    if not image:
        return pa.schema(fields)
    features: dict[str, dict[str, str]] = {"image": {"_type": "Image"}}
    for name, kind in columns.items():
        features[name] = {"dtype": _DTYPES[kind], "_type": "Value"}
    encoded = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    stated = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([("image", encoded), *fields], metadata=stated)


def table_bytes(rows: Sequence[dict[str, Any]], columns: Mapping[str, Kind]) -> bytes:
    """Rows without images as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    table = pa.Table.from_pylist(list(rows), schema_of(columns, image=False))
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
