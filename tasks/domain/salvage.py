"""What can be saved of a JSON object whose fields have other types or sizes than expected."""

import codecs
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

S = TypeVar("S", bound=msgspec.Struct)
_SLICE = 256 * 1024
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def valid_utf8(data: bytes) -> bool:
    """Tell whether the bytes are UTF-8, in memory that does not grow with them."""
    if data.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    try:
        for start in range(0, len(view), _SLICE):
            decoder.decode(view[start : start + _SLICE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def salvage(raw: bytes | msgspec.Raw, kind: type[S], *, longest: int) -> S | None:
    """Decode the fields that fit their types and leave the others (and those over `longest` bytes) at their default.

    Returns None when `raw` is no JSON object at all.
    """
    try:
        found = _raw_object.decode(raw)
    except _UNREADABLE:
        return None
    fields: dict[str, Any] = {}
    for field in _fields(kind):
        value = found.get(field.encode_name)
        if value is not None:
            kept = _field(value, field.type, longest)
            if kept is not None:
                fields[field.name] = kept
    return kind(**fields)


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def _field(value: msgspec.Raw, kind: Any, longest: int) -> Any:
    if len(memoryview(value)) <= longest:
        try:
            return msgspec.json.decode(value, type=kind, strict=False)
        except _UNREADABLE:
            pass
    return _nested(value, kind, longest)


def _nested(value: msgspec.Raw, kind: Any, longest: int) -> Any:
    """Save what can be saved of a struct, of a list of structs, or of an instant without zone, inside the field."""
    for option in get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,):
        if get_origin(option) is Annotated:
            return _instant(value)
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return salvage(value, option, longest=longest)
        if get_origin(option) is list:
            return _items(value, get_args(option)[0], longest)
    return None


def _instant(value: msgspec.Raw) -> datetime | None:
    try:
        return msgspec.json.decode(value, type=datetime).replace(tzinfo=UTC)
    except _UNREADABLE:
        return None


def _items(value: msgspec.Raw, kind: Any, longest: int) -> list[Any] | None:
    try:
        items = _raw_list.decode(value)
    except _UNREADABLE:
        return None
    return [kept for item in items if (kept := salvage(item, kind, longest=longest)) is not None]
