"""Ids of reweighting weights: the coefficients for which `cHW_0p1_cHbox_m1p0` stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias
from warnings import warn

from bit.errors import BitWarning, FileFormatError, InputError, near_match

CENTRAL: Final = "XWGTUP"
Points: TypeAlias = Mapping[str, Mapping[str, float]] | Callable[[str], Mapping[str, float] | None]

_PREFIX: Final = re.compile(r"^(?:(?:EFT)?rwgt\d*|mg_reweight(?:ing)?|weight|wgt)(?:_|$)", re.IGNORECASE)
_VALUE: Final = re.compile(r"([m+-]?)(\d+(?:[p.]\d*)?|\.\d+)(?:e([m+-]?)(\d+))?", re.IGNORECASE)


def parse_id(weight_id: str, params: Sequence[str] = ()) -> dict[str, float] | None:
    """Coefficients that an id names, {} for the SM, None if it names none.

    Names and values alternate between underscores; ``p`` is the decimal point and ``m`` the minus sign of a
    value. A name may contain underscores as long as none of its parts reads as a number; `params`, if given, are
    recognised first, whatever they look like.
    """
    tokens = _PREFIX.sub("", weight_id.strip()).split("_")
    if len(tokens) == 1 and tokens[0].lower() == "sm":
        return {}
    known = sorted((name.split("_") for name in params), key=len, reverse=True)
    values: dict[str, float] = {}
    pending: list[str] = []
    position = 0
    while position < len(tokens):
        name = next((name for name in known if _is_pair(tokens[position:], name)), None)
        if name is not None:
            if pending and values:
                return None
            pending = name  # whatever stood before the first known name is a prefix
            position += len(name)
        token = tokens[position]
        value = _VALUE.fullmatch(token)
        if value is None:
            pending = [*pending, token]
        elif pending:
            key = "_".join(pending)
            if key in values:
                return None
            values[key] = _number(value)
            pending = []
        elif values:
            return None
        position += 1
    return values if values and not pending else None


def _is_pair(tokens: list[str], name: list[str]) -> bool:
    n = len(name)
    return tokens[:n] == name and len(tokens) > n and _VALUE.fullmatch(tokens[n]) is not None


def _number(match: re.Match[str]) -> float:
    sign, digits, exponent_sign, exponent = match.groups()
    minus = ("m", "M", "-")
    text = ("-" if sign in minus else "") + re.sub("p", ".", digits, flags=re.IGNORECASE)
    return float(text + ("e" + ("-" if exponent_sign in minus else "") + exponent if exponent else ""))


def base_points(
    ids: Sequence[str], points: Points | None, params: Sequence[str] | None, where: str
) -> dict[str, Mapping[str, float]]:
    """Return the base points by id, in the order of the file, from the ids or from what the caller says."""
    if isinstance(points, Mapping):
        for name in points:
            if name not in ids and name != CENTRAL:
                raise InputError(f"points names the weight {name!r}, which {where} lacks; {near_match(name, ids)}")
        return {name: points[name] for name in (*ids, CENTRAL) if name in points}
    if not ids:
        raise FileFormatError(f"{where} holds no reweighting weights (<rwgt>), so no derivatives can be formed.")
    read = points or (lambda weight_id: parse_id(weight_id, params or ()))
    named = {weight_id: point for weight_id in ids if (point := read(weight_id)) is not None}
    if points is None:
        _check_named(ids, named, params, where)
    if params is not None:
        # A point that switches on another coefficient does not belong to the polynomial asked for.
        named = {
            weight_id: {name: value for name, value in point.items() if name in params}
            for weight_id, point in named.items()
            if all(name in params or value == 0.0 for name, value in point.items())
        }
    return named


def _check_named(
    ids: Sequence[str], named: Mapping[str, Mapping[str, float]], params: Sequence[str] | None, where: str
) -> None:
    found = list(dict.fromkeys(name for point in named.values() for name in point))
    if not found:
        raise FileFormatError(
            f"{where}: the weight ids {list(ids[:5])}{'...' if len(ids) > 5 else ''} carry no values of coefficients; "
            "give points={id: {coefficient: value}} (from the reweight card)."
        )
    for name in params or ():
        if name not in found:
            raise InputError(f"no weight id of {where} names the coefficient {name!r}: {near_match(name, found)}")
    # Bare numbers are scale and density variations by custom; anything else may be a misspelt point.
    odd = [weight_id for weight_id in ids if weight_id not in named and not _PREFIX.sub("", weight_id).isdigit()]
    if odd:
        warn(
            f"{where}: {len(odd)} weights whose ids name no coefficients are not used (first: {odd[0]!r}); "
            "give points= if they belong to the polynomial.",
            BitWarning,
            stacklevel=4,
        )
