"""MadGraph's reweight cards: which coefficients the reweighting weights of a sample stand for."""

from __future__ import annotations

import os
from collections.abc import Mapping

from bit.errors import FileFormatError, InputError
from bit.files import existing_file


def read_reweight_card(
    path: str | os.PathLike[str],
    coefficients: Mapping[tuple[str, int], str],
    *,
    defaults: Mapping[str, float] | None = None,
) -> dict[str, dict[str, float]]:
    """Read the base points of a sample from its reweight card.

    Parameters
    ----------
    path : str or path-like
        ``reweight_card.dat``, as it stands in the gridpack.
    coefficients : mapping of (block, number) to str
        Name of the coefficient at each place of the parameter card: ``{("smeft", 5): "cHW"}``.
    defaults : mapping of str to float, optional
        Value in the sample's own parameter card of each coefficient that differs from 0 there: where a point does
        not set a coefficient, it keeps that value.

    Returns
    -------
    dict of str to dict
        Coefficients (TeV^-2, if the card has them so) of each point by the name of its weight, in the order of the
        card, which is the order of the weights: for ``points=`` of `bit.read_lhe` and `bit.read_nanoaod`.

    Raises
    ------
    InputError
        If there is no such file, or a point sets what `coefficients` does not name to another value than 0.
    FileFormatError
        If the card has no point, a name twice, or a line that is not understood.

    Notes
    -----
    A point is ``launch --rwgt_name=NAME`` and, up to the next one, ``set [param_card] BLOCK NUMBER VALUE`` or ``set
    NAME VALUE``; without a name it is called ``rwgt_1``, ``rwgt_2``, ... by its place. Other options of ``launch``, and
    ``change`` lines other than of process and model, do not move a point and are skipped. The point at which the
    sample was made often has no entry; add it as ``{"XWGTUP": {...}}``. Reweighting in MadGraph: arXiv:1607.00763.
    """
    file = existing_file(path)
    named = {(block.lower(), number): name for (block, number), name in coefficients.items()}
    for name in defaults or ():
        if name not in named.values():
            raise InputError(f"defaults name {name!r}, which coefficients does not: {sorted(set(named.values()))}.")
    start = {name: float((defaults or {}).get(name, 0.0)) for name in named.values()}
    points: dict[str, dict[str, float]] = {}
    current: dict[str, float] | None = None
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        words = line.partition("#")[0].split()
        where = f"{file}, line {number} ({' '.join(words)!r})"
        match [word.lower() for word in words[:2]]:
            case []:
                continue
            case ["change", "process" | "model"]:
                raise FileFormatError(f"{where}: a point of another process or model is not one of this polynomial.")
            case ["change", *_]:
                continue
            case ["launch", *_]:
                name = _weight_name(words[1:]) or f"rwgt_{len(points) + 1}"
                if name in points:
                    raise FileFormatError(f"{where}: the name {name!r} stands twice; names of weights must differ.")
                current = points[name] = dict(start)
            case ["set", *_] if current is not None:
                _set(current, words[1:], named, where)
            case _:
                raise FileFormatError(f"{where} is not understood: 'launch', 'change' and, after a launch, 'set' are.")
    if not points:
        raise FileFormatError(f"{file} has no line 'launch': it is not a reweight card, or an empty one.")
    return points


def _weight_name(options: list[str]) -> str | None:
    """Name that the options of a launch give, None if they give none."""
    names = [option.partition("=")[2] for option in options if option.startswith("--rwgt_name=")]
    return names[0] if names else None


def _set(point: dict[str, float], words: list[str], named: Mapping[tuple[str, int], str], where: str) -> None:
    """Move a point as a line ``set ...`` says."""
    if words and words[0].lower() == "param_card":
        words = words[1:]
    by_lower = {name.lower(): name for name in named.values()}
    try:
        value = float(words[-1].lower().replace("d", "e"))
        match words[:-1]:
            case [block, number]:
                name = named.get((block.lower(), int(number)))
            case [word]:
                name = by_lower.get(word.lower())
            case _:
                raise ValueError
    except (ValueError, IndexError):
        raise FileFormatError(f"{where} is not understood: expected 'set BLOCK NUMBER VALUE'.") from None
    if name is not None:
        point[name] = value
    elif value != 0.0:
        raise InputError(f"{where}: coefficients has no name for {' '.join(words[:-1])}; add it.")
