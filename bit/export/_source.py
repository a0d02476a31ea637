"""Pieces of C++ and Python source that the exports share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pprint import pformat
from typing import Final

import numpy as np
import numpy.typing as npt

from bit.errors import InputError
from bit.export._tables import wrapped

_RESERVED: Final = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t class compl const
    const_cast constexpr continue decltype default delete do double dynamic_cast else enum explicit export extern false
    float for friend goto if inline int long main mutable namespace new noexcept not not_eq nullptr operator or or_eq
    posix private protected public register reinterpret_cast return short signed sizeof static static_assert static_cast
    std struct switch template this thread_local throw true try typedef typeid typename union unsigned using virtual
    void volatile wchar_t while xor xor_eq
"""


def check_name(name: str) -> None:
    """Refuse a namespace that C++ would not take."""
    # Underscores at the start and double ones are reserved for the compiler.
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*_?", name) and name not in _RESERVED.split():
        return
    words = re.findall(r"[A-Za-z0-9]+", name)
    raise InputError(
        f"name={name!r}: a C++ identifier is needed that is not reserved (letters, digits and single underscores, a "
        f"letter first, no keyword); such as {'_'.join(['forest', *words])!r}."
    )


def cpp_array(words: Iterable[str]) -> str:
    """Initializer of a std::array; the one of an empty array has single braces."""
    listed = list(words)
    return "{{" + wrapped(listed, "    ") + "}}" if listed else "{}"


def hexadecimals(values: npt.NDArray[np.floating]) -> Sequence[str]:
    """Every bit of the numbers, without trailing zeros."""
    return [re.sub(r"\.?0*p", "p", value.hex()) for value in values.ravel().tolist()]


def cpp_text(value: str) -> str:
    """A string literal in ASCII; bytes beyond, and what could begin an escape or a trigraph, in octal."""
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}" for byte in value.encode())
    return f'"{"".join(plain)}"'


def python_source(value: object) -> str:
    """A literal of Python."""
    return pformat(value, width=110, sort_dicts=False)
