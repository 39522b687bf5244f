"""How an object becomes a file, and back: what `PlacetIOManager` can write beside files and folders.

The same object should give the same bytes, so that making it again makes nothing downstream stale.
"""

from __future__ import annotations

import json
import pickle
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from placet.errors import Invalid, NotFound


class Format(Protocol):
    """One form of files."""

    @property
    def name(self) -> str:
        """As it is called in configuration and metadata."""
        ...

    @property
    def suffix(self) -> str:
        """With its point: `.json`. No second point in it."""
        ...

    def dump(self, obj: Any, path: Path) -> None:  # noqa: ANN401 - any object
        """Write an object to a path where nothing is; the same object gives the same bytes."""
        ...

    def load(self, path: Path, wanted: type) -> Any:  # noqa: ANN401 - any object
        """Read what `dump` wrote.

        Args:
            path: Verified: these are the bytes that are tracked.
            wanted: What the input is annotated with; `object` if it is not.
        """
        ...


class Pickle:
    """Any Python object. Whoever loads it runs what is in it: policies refuse it unless they name it."""

    name, suffix = "pickle", ".pkl"

    def dump(self, obj: Any, path: Path) -> None:  # noqa: ANN401 - any object
        """As `Format.dump`.

        Raises:
            Invalid: kind `format`: it cannot be pickled.
        """
        try:
            path.write_bytes(pickle.dumps(obj, protocol=5))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise Invalid(
                f"A {type(obj).__name__} cannot be pickled: {error}.",
                kind="format",
                mend="Return plain data; or write it yourself, and return its Path.",
            ) from error

    def load(self, path: Path, wanted: type) -> Any:  # noqa: ANN401 - any object
        """As `Format.load`."""
        del wanted
        return pickle.loads(path.read_bytes())  # noqa: S301 - verified: this node's own


class Json:
    """What JSON can say; keys sorted."""

    name, suffix = "json", ".json"

    def dump(self, obj: Any, path: Path) -> None:  # noqa: ANN401 - any object
        """As `Format.dump`; refuses what would come back as something else.

        Raises:
            Invalid: kind `format`.
        """
        try:
            text = json.dumps(obj, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
            same = json.loads(text) == obj
        except (TypeError, ValueError, RecursionError) as error:
            raise _unfit(obj, "JSON") from error
        if not same:
            raise _unfit(obj, "JSON")
        path.write_text(f"{text}\n", encoding="utf-8")

    def load(self, path: Path, wanted: type) -> Any:  # noqa: ANN401 - any object
        """As `Format.load`."""
        del wanted
        return json.loads(path.read_text(encoding="utf-8"))


class Text:
    """A text, as UTF-8."""

    name, suffix = "text", ".txt"

    def dump(self, obj: Any, path: Path) -> None:  # noqa: ANN401 - any object
        """As `Format.dump`."""
        if not isinstance(obj, str):
            raise _unfit(obj, "a text")
        path.write_bytes(obj.encode())

    def load(self, path: Path, wanted: type) -> str:
        """As `Format.load`."""
        del wanted
        return path.read_bytes().decode()


class Parquet:
    """A table of pyarrow, pandas or polars; comes back as what the input asks for, else as it was given."""

    name, suffix = "parquet", ".parquet"

    def dump(self, obj: Any, path: Path) -> None:  # noqa: ANN401 - any table
        """As `Format.dump`.

        Raises:
            Invalid: kind `format`: it is no table.
        """
        arrow = _library("pyarrow")
        family = type(obj).__module__.partition(".")[0]
        if family == "pandas":
            obj = arrow.Table.from_pandas(obj)
        elif family == "polars":
            obj = obj.to_arrow().replace_schema_metadata({"placet": "polars"})
        if not isinstance(obj, arrow.Table):
            raise _unfit(obj, "a table")
        _library("pyarrow.parquet").write_table(obj, path)

    def load(self, path: Path, wanted: type) -> Any:  # noqa: ANN401 - any table
        """As `Format.load`."""
        table = _library("pyarrow.parquet").read_table(path)
        family = getattr(wanted, "__module__", "").partition(".")[0]
        known = table.schema.metadata or {}
        if family == "polars" or (family not in {"pandas", "pyarrow"} and known.get(b"placet") == b"polars"):
            return _library("polars").from_arrow(table)
        if family == "pandas" or (family != "pyarrow" and b"pandas" in known):
            return table.to_pandas()
        return table


BUILT_IN: tuple[Format, ...] = (Pickle(), Json(), Text(), Parquet())


def _unfit(obj: object, form: str) -> Invalid:
    return Invalid(
        f"A {type(obj).__name__} cannot be written as {form} so that it comes back the same.",
        kind="format",
        mend='Return something else, or give the asset another format: metadata={"placet/format": "pickle"}.',
    )


def _library(name: str) -> Any:  # noqa: ANN401 - pyarrow and polars are extras
    try:
        return import_module(name)
    except ImportError as error:
        raise NotFound(
            f"{name} is not installed here.", kind="no-library", mend="pip install '/path/to/placet[parquet]'"
        ) from error
