# SPDX-License-Identifier: MIT
"""Value: a base for small immutable records whose fields are their annotations.

What `@dataclass(frozen=True)` would give, for the price of nothing: importing
dataclasses and making twenty of them took a third of `wg-quick down`
(docs/decisions/0001, 0021).  Type checkers know the idiom by `dataclass_transform`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # known to type checkers; `typing` itself is slow to import
if TYPE_CHECKING:
    from typing import ClassVar, dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda cls: cls


__all__ = ["Value"]


@dataclass_transform(frozen_default=True, kw_only_default=False)
class Value:
    """Equal when of one class with equal fields.  Defaults stand in the class body."""

    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)

    def __init__(self, *values: object, **named: object) -> None:
        cls = type(self)
        given = dict(zip(cls._fields, values, strict=False))
        unknown = len(values) > len(given) or named.keys() - set(cls._fields)
        unknown = unknown or named.keys() & given.keys()
        given |= named
        missing = [n for n in cls._fields if n not in given and not hasattr(cls, n)]
        if unknown or missing:
            raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}")
        self.__dict__.update(given)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} does not change")

    def as_dict(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self._fields}

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, name) for name in self._fields)))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__name__}({shown})"
