"""The configuration of an analysis: one frozen dataclass for all commands, read from TOML.

Sections and keys (all but ``data.path`` have defaults)::

    [data]
    path = "events.root"          # .root, .npz, .parquet, .lhe, .lhe.gz; a list of ROOT files is read as one sample
    tree = "events"               # ROOT only; default: the only tree of the file
    features = ["pt", "phi"]      # default: all
    params = ["cHW", "cHWtil"]    # default: all
    unit = "fb"                   # of the weights in files not written by bit: "fb" or "pb"
    norm = "sum"                  # likewise: their "sum" or their "average" is the cross-section
    cache = "cache"               # folder for the events of ROOT files that are larger than memory; default: none
    split = [0.5, 0.1, 0.4]       # shares of the events for training, for choosing bins, for the result
    labels = {pt = "p_T"}         # LaTeX of features in figures

    [train]                       # arguments of bit.BoostedInformationTree; "none" stands for Python's None
    n_estimators = 300
    max_depth = 5

    [cp]                          # CP parity; with it every event is used together with its CP image
    flip = ["phi"]                # features that change sign
    swap = [["pt_lm", "pt_lp"]]   # features that change places
    odd_params = ["cHWtil"]       # coefficients of CP-odd operators

    [observables]
    names = ["pt", "learned"]     # features; "best": the best single feature; "learned"; "true": the joint score

    [limits]
    lumi_fb = 300.0
    cl = 0.95
    n_bins = 20
    params = ["cHW"]              # default: all
    order = "quadratic"           # or "linear"
    others = "zero"               # or "profiled": the other coefficients

    [contour]                     # of `bit contour`; luminosity, bins, order and others are those of [limits]
    params = ["cHW", "cHWtil"]    # every pair of these; default: those of [limits]
    cls = [0.68, 0.95]
    n_points = 61                 # of the grid along each coefficient

    [power]                       # of `bit power`; the luminosity is that of [limits]
    params = ["cHW", "cHWtil"]    # two; default: the first two of [limits]
    alpha = 0.05                  # size of the test
    n_bins = 20                   # of features, and of the ratio if that is binned
    binning = "none"              # of the ratio, learned or true: "none" (all events one by one), "equal" or "optimal"
    method = "gaussian"           # or "toys"
    n_toys = 2000                 # experiments per hypothesis
    n_points = 25                 # of the grid along each coefficient

    [compare]                     # of `bit compare`; coefficients and statistics are those of [limits]
    methods = ["bit", "onn_multiclass"]  # of bit.compare.METHODS; default: all
    features = ["pt", "phi"]      # default: all
    classics = ["pt_z"]           # of bit.classic.OBSERVABLES; default: those that the features allow
    n_best = 3                    # features, and classic observables, in tables and figure; compare.json has all
    xgboost = {n_estimators = 200}  # arguments of bit.baselines.ONN and RatioTrick; those of trees are in [train]
    networks = {n_epochs = 50}    # arguments of bit.baselines.SALLY and QuadraticClassifier

    [distill]                     # of `bit distill`; luminosity, bins and order are those of [limits]
    target = "learned"            # what formulas describe: the trees, or "true": the joint score
    param = "cHW"                 # default: the only one of [limits], or of the events
    features = ["pt", "phi"]      # that may stand in formulas; default: all
    backend = "auto"              # or "operon", "pysr", "symbolnet"
    operators = ["add", "mul", "sin"]  # of bit.expression.OPERATORS
    n_points = 4000               # events on which to search
    sampling = "information"      # how they are drawn; or "weights", "stratified"
    max_complexity = 30
    n_restarts = 4                # independent searches
    n_extensions = 6              # rounds in which the best formulas are extended
    max_seconds = 600             # default: no limit; results then do not depend on the machine
    mean_subtracted = false       # true: the convention of arXiv:2109.10414
    rule = "one_standard_error"   # of choice; or "mse", "information"
    options = {max_evaluations = 100000}  # of the backend

    [output]
    dir = "out"
    seed = 1                      # of the division of the events, the training, and the search for formulas
"""

from __future__ import annotations

import inspect
import json
import math
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from bit.classic import OBSERVABLES
from bit.compare import METHODS
from bit.distill._targets import Sampling
from bit.distill.pareto import Rule
from bit.distill.pipeline import Backend
from bit.errors import FileFormatError, InputError, near_match
from bit.estimators import BoostedInformationTree
from bit.expression import OPERATORS
from bit.files import existing_file
from bit.inference.power import PowerMethod
from bit.inference.results import Order, Others
from bit.parity import CPParity

RatioBinning: TypeAlias = Literal["none", "equal", "optimal"]
Described: TypeAlias = Literal["learned", "true"]

BEST, LEARNED, TRUE = "best", "learned", "true"
"""Names of observables that are not features."""


@dataclass(frozen=True)
class DataConfig:
    """Section ``[data]``: which events, and how they are divided.

    Attributes
    ----------
    path : tuple of str
        Files.
    tree, features, params, unit, norm
        Arguments of the readers; None for their defaults.
    cache : str or None
        Folder of `bit.stream_root`, for ROOT files that are larger than memory.
    split : tuple of float
        Shares for training, for choosing bins, and for the result.
    labels : mapping of str to str
        LaTeX of features, without dollar signs.
    """

    path: tuple[str, ...]
    tree: str | None = None
    features: tuple[str, ...] | None = None
    params: tuple[str, ...] | None = None
    unit: Literal["fb", "pb"] | None = None
    norm: Literal["sum", "average"] | None = None
    cache: str | None = None
    split: tuple[float, ...] = (0.5, 0.1, 0.4)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ObservablesConfig:
    """Section ``[observables]``.

    Attributes
    ----------
    names : tuple of str
        Features, ``"best"`` (the best of them), ``"learned"``, ``"true"``.
    """

    names: tuple[str, ...] = (BEST, LEARNED, TRUE)


@dataclass(frozen=True)
class LimitsConfig:
    """Section ``[limits]``.

    Attributes
    ----------
    lumi_fb : float
        Integrated luminosity in fb^-1.
    cl : float
        Confidence level.
    n_bins : int
        Equally probable bins of every observable.
    params : tuple of str or None
        Coefficients to constrain, None for all.
    order, others : str
        As in `bit.inference.limits`.
    """

    lumi_fb: float = 300.0
    cl: float = 0.95
    n_bins: int = 20
    params: tuple[str, ...] | None = None
    order: Order = "quadratic"
    others: Others = "zero"


@dataclass(frozen=True)
class ContourConfig:
    """Section ``[contour]``.

    Attributes
    ----------
    params : tuple of str or None
        At least two coefficients, of which every pair is drawn; None for those of ``[limits]``.
    cls : tuple of float
        Confidence levels.
    n_points : int
        Points of the grid along each coefficient.
    """

    params: tuple[str, ...] | None = None
    cls: tuple[float, ...] = (0.68, 0.95)
    n_points: int = 61


@dataclass(frozen=True)
class PowerConfig:
    """Section ``[power]``.

    Attributes
    ----------
    params : tuple of str or None
        Two coefficients; None for the first two of ``[limits]``.
    alpha : float
        Size of the test.
    n_bins : int
        Bins of features, and of the likelihood ratio unless `binning` is "none".
    binning : {"none", "equal", "optimal"}
        Bins of the likelihood ratio; "none" for the unbinned test.
    method : {"gaussian", "toys"}
        As in `bit.inference.power`.
    n_toys : int
        Experiments per hypothesis.
    n_points : int
        Points of the grid along each coefficient.
    """

    params: tuple[str, ...] | None = None
    alpha: float = 0.05
    n_bins: int = 20
    binning: RatioBinning = "none"
    method: PowerMethod = "gaussian"
    n_toys: int = 2000
    n_points: int = 25


@dataclass(frozen=True)
class CompareConfig:
    """Section ``[compare]``.

    Attributes
    ----------
    methods : tuple of str
        Of `bit.compare.METHODS`.
    features, classics : tuple of str or None
        Features and classic observables; None for all that there are.
    n_best : int
        So many of each are shown for every coefficient.
    xgboost, networks : mapping
        As in `bit.compare.compare`.
    """

    methods: tuple[str, ...] = METHODS
    features: tuple[str, ...] | None = None
    classics: tuple[str, ...] | None = None
    n_best: int = 3
    xgboost: Mapping[str, Any] = field(default_factory=dict)
    networks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DistillConfig:
    """Section ``[distill]``.

    Attributes
    ----------
    target : {"learned", "true"}
        What formulas describe: the prediction of the trees, or the joint score; the report says whether constants gain
        from the latter.
    param : str or None
        Coefficient; None for the only one of ``[limits]``, or of the events.
    features, backend, operators, n_points, sampling, max_complexity, n_restarts, n_extensions, max_seconds,
    mean_subtracted, options
        As in `bit.distill.distill`.
    rule : str
        As in `bit.distill.ParetoFront.best`.
    """

    target: Described = "learned"
    param: str | None = None
    features: tuple[str, ...] | None = None
    backend: Backend = "auto"
    operators: tuple[str, ...] = ("add", "sub", "mul", "square", "cube", "sin")
    n_points: int = 4000
    sampling: Sampling = "information"
    max_complexity: int = 30
    n_restarts: int = 4
    n_extensions: int = 6
    max_seconds: float | None = None
    mean_subtracted: bool = False
    rule: Rule = "one_standard_error"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OutputConfig:
    """Section ``[output]``.

    Attributes
    ----------
    dir : str
        Folder of results.
    seed : int
        Of the split of the events and of whatever is random.
    """

    dir: str = "out"
    seed: int = 1


@dataclass(frozen=True)
class Config:
    """All that determines an analysis.

    Attributes
    ----------
    data : DataConfig
        Events.
    train : mapping
        Arguments of `bit.BoostedInformationTree`.
    cp : CPParity or None
        Parity under which samples are made symmetric.
    observables : ObservablesConfig
        What is compared.
    limits : LimitsConfig
        Statistics.
    contour : ContourConfig
        Regions of two coefficients.
    power : PowerConfig
        Power of tests over two coefficients.
    compare : CompareConfig
        Methods that are compared.
    distill : DistillConfig
        Search for formulas.
    output : OutputConfig
        Folder and seed.

    See Also
    --------
    load_config : Read one from TOML.
    """

    data: DataConfig
    train: Mapping[str, Any] = field(default_factory=dict)
    cp: CPParity | None = None
    observables: ObservablesConfig = field(default_factory=ObservablesConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    contour: ContourConfig = field(default_factory=ContourConfig)
    power: PowerConfig = field(default_factory=PowerConfig)
    compare: CompareConfig = field(default_factory=CompareConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    output: OutputConfig = field(default_factory=OutputConfig)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as nested dictionaries of JSON types.

        Returns
        -------
        dict
            Sections and keys as in TOML; keys that are None are left out. `from_dict` takes it back.
        """
        sections = {item.name: _plain(getattr(self, item.name)) for item in fields(self)}
        return {name: section for name, section in sections.items() if section}

    def to_toml(self) -> str:
        """Return the configuration as TOML text, which `load_config` reads back to an equal object.

        Returns
        -------
        str
            Sections and keys.
        """
        lines = []
        for section, content in self.to_dict().items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {_toml(value)}" for key, value in content.items()]
            lines.append("")
        return "\n".join(lines)


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Read a configuration from a TOML file.

    Parameters
    ----------
    path : str or path-like
        The file; paths in it are relative to the current folder.
    overrides : sequence of str, optional
        Changes on top of it, such as ``"limits.lumi_fb=3000"``.

    Returns
    -------
    Config
        Checked.

    Raises
    ------
    InputError
        If there is no such file, or a section, key or value is not understood.
    FileFormatError
        If the file is not TOML.
    """
    file = existing_file(path)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        kind = "an event file" if Path(path).suffix in (".root", ".npz", ".parquet", ".lhe", ".gz") else "not TOML"
        raise FileFormatError(
            f"{file} is {kind} ({error}); give a configuration, a text file that begins with "
            '[data] and path = "events.root".'
        ) from None
    return from_dict(document, overrides, source=str(file))


def from_dict(document: Mapping[str, Any], overrides: Sequence[str] = (), *, source: str = "configuration") -> Config:
    """Check a parsed configuration.

    Parameters
    ----------
    document : mapping
        Sections and keys as in TOML.
    overrides : sequence of str, optional
        Changes, ``"section.key=value"``; the value is TOML, or text if it is not.
    source : str, default="configuration"
        Where it comes from, for messages.

    Returns
    -------
    Config
        Checked; values that are left out have their defaults.

    Raises
    ------
    InputError
        For unknown sections and keys (the nearest known one is named) and for values outside their rule.
    """
    known = [item.name for item in fields(Config)]
    merged: dict[str, dict[str, Any]] = {}
    for name, section in document.items():
        _check_section(name, known, source)
        if not isinstance(section, Mapping):
            raise InputError(f"{source}: {name}={section!r} stands outside of a section; write it below a [section].")
        merged[name] = dict(section)
    for text in overrides:
        name, key, value = _parse_override(text)
        _check_section(name, known, f"override {text!r}")
        merged.setdefault(name, {})[key] = value
    if "path" not in merged.get("data", {}):
        raise InputError(f'{source} names no events: write [data] and below it path = "events.root".')
    cp = merged.get("cp")
    return Config(
        data=DataConfig(**_read("data", merged, _DATA, source)),
        train=_read_train(merged.get("train", {}), source),
        cp=CPParity(**_read("cp", merged, _CP, source)) if cp else None,
        observables=ObservablesConfig(**_read("observables", merged, _OBSERVABLES, source)),
        limits=LimitsConfig(**_read("limits", merged, _LIMITS, source)),
        contour=ContourConfig(**_read("contour", merged, _CONTOUR, source)),
        power=PowerConfig(**_read("power", merged, _POWER, source)),
        compare=CompareConfig(**_read("compare", merged, _COMPARE, source)),
        distill=DistillConfig(**_read("distill", merged, _DISTILL, source)),
        output=OutputConfig(**_read("output", merged, _OUTPUT, source)),
    )


def _check_section(name: str, known: Sequence[str], source: str) -> None:
    if name not in known:
        raise InputError(f"{source}: unknown section [{name}]: {near_match(name, known)}")


def _parse_override(text: str) -> tuple[str, str, Any]:
    target, equals, value = text.partition("=")
    section, dot, key = target.strip().partition(".")
    if not (equals and dot and section and key):
        raise InputError(f"{text!r} is not understood: write section.key=value, such as limits.lumi_fb=3000.")
    try:
        return section, key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return section, key, value.strip()


# ---------------------------------------------------------------------- rules of values
_Rule = Callable[[Any], Any]


class _RuleError(Exception):
    """A value breaks its rule; the text is the rule."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _RuleError("a text is needed")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    """Accept one text as a list of one."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not listed or not all(isinstance(item, str) and item for item in listed):
        raise _RuleError('a list of names is needed, such as ["cHW", "cHq3"]')
    if len(set(listed)) < len(listed):
        raise _RuleError("every name may stand once")
    return tuple(listed)


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    rule = 'a list of pairs of names is needed, such as [["pt_lm", "pt_lp"]]'
    if not isinstance(value, list | tuple):
        raise _RuleError(rule)
    for pair in value:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(name, str) for name in pair):
            raise _RuleError(rule)
    return tuple((first, second) for first, second in value)


def _labels(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(label, str) for label in value.values()):
        raise _RuleError('a table of texts is needed, such as {pt = "p_T"}')
    return dict(value)


def _some_texts(least: int, most: float, rule: str) -> _Rule:
    def check(value: Any) -> tuple[str, ...]:
        names = _texts(value)
        if not least <= len(names) <= most:
            raise _RuleError(rule)
        return names

    return check


def _some_of(options: Sequence[str]) -> _Rule:
    def check(value: Any) -> tuple[str, ...]:
        names = _texts(value)
        for name in names:
            if name not in options:
                raise _RuleError(f"no {name!r}: {near_match(name, options)}")
        return names

    return check


def _arguments(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _RuleError("a table of arguments is needed, such as {name = 200}")
    return dict(value)


def _levels(value: Any) -> tuple[float, ...]:
    numbers = value if isinstance(value, list | tuple) else [value]
    if not numbers or not all(_is_number(x) and 0 < x < 1 for x in numbers):
        raise _RuleError("confidence levels between 0 and 1, such as [0.68, 0.95], are needed")
    return tuple(float(x) for x in numbers)


def _shares(value: Any) -> tuple[float, ...]:
    numbers = value if isinstance(value, list | tuple) else []
    if len(numbers) != 3 or not all(_is_number(x) and x > 0 for x in numbers) or sum(numbers) > 1 + 1e-12:
        raise _RuleError("three positive shares (training, bins, result) with a sum of at most 1 are needed")
    return tuple(float(x) for x in numbers)


def _number(rule: str, holds: Callable[[float], bool]) -> _Rule:
    def check(value: Any) -> float:
        if not _is_number(value) or not holds(value):
            raise _RuleError(rule)
        return float(value)

    return check


def _integer(low: int) -> _Rule:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise _RuleError(f"a whole number of at least {low} is needed")
        return value

    return check


def _one_of(*options: str) -> _Rule:
    def check(value: Any) -> Any:
        if value not in options:
            raise _RuleError("choose " + " or ".join(repr(option) for option in options))
        return value

    return check


def _described(value: Any) -> Any:
    # Without quotes, TOML has read a truth value.
    return _one_of(*get_args(Described))("true" if value is True else value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _RuleError("choose true or false")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_DATA: dict[str, _Rule] = {
    "path": _texts,
    "tree": _text,
    "features": _texts,
    "params": _texts,
    "unit": _one_of("fb", "pb"),
    "norm": _one_of("sum", "average"),
    "cache": _text,
    "split": _shares,
    "labels": _labels,
}
_CP: dict[str, _Rule] = {"flip": _texts, "swap": _pairs, "odd_params": _texts}
_OBSERVABLES: dict[str, _Rule] = {"names": _texts}
_LIMITS: dict[str, _Rule] = {
    "lumi_fb": _number("a positive luminosity in fb^-1 is needed", lambda x: x > 0),
    "cl": _number("a confidence level between 0 and 1, such as 0.95, is needed", lambda x: 0 < x < 1),
    "n_bins": _integer(1),
    "params": _texts,
    "order": _one_of("linear", "quadratic"),
    "others": _one_of("zero", "profiled"),
}
_CONTOUR: dict[str, _Rule] = {
    "params": _some_texts(2, math.inf, "at least two coefficients are needed"),
    "cls": _levels,
    "n_points": _integer(2),
}
_POWER: dict[str, _Rule] = {
    "params": _some_texts(2, 2, "two coefficients are needed"),
    "alpha": _number("a size within (0, 0.5], such as 0.05, is needed", lambda x: 0 < x <= 0.5),
    "n_bins": _integer(1),
    "binning": _one_of(*get_args(RatioBinning)),
    "method": _one_of(*get_args(PowerMethod)),
    "n_toys": _integer(1),
    "n_points": _integer(2),
}
_COMPARE: dict[str, _Rule] = {
    "methods": _some_of(METHODS),
    "features": _texts,
    "classics": _some_of(tuple(OBSERVABLES)),
    "n_best": _integer(1),
    "xgboost": _arguments,
    "networks": _arguments,
}
_DISTILL: dict[str, _Rule] = {
    "target": _described,
    "param": _text,
    "features": _texts,
    "backend": _one_of(*get_args(Backend)),
    "operators": _some_of(tuple(OPERATORS)),
    "n_points": _integer(10),
    "sampling": _one_of(*get_args(Sampling)),
    "max_complexity": _integer(1),
    "n_restarts": _integer(1),
    "n_extensions": _integer(0),
    "max_seconds": _number("a positive time in seconds is needed", lambda x: x > 0),
    "mean_subtracted": _truth,
    "rule": _one_of(*get_args(Rule)),
    "options": _arguments,
}
_OUTPUT: dict[str, _Rule] = {"dir": _text, "seed": _integer(0)}


def _read(section: str, document: Mapping[str, Any], rules: Mapping[str, _Rule], source: str) -> dict[str, Any]:
    values = {}
    for key, value in document.get(section, {}).items():
        if key not in rules:
            raise InputError(f"{source}: unknown key {key!r} in [{section}]: {near_match(key, rules)}")
        try:
            values[key] = rules[key](value)
        except _RuleError as rule:
            end = "" if str(rule).endswith(("?", "...")) else "."
            raise InputError(f"{source}: {section}.{key}={value!r}: {rule}{end}") from None
    return values


def _read_train(section: Mapping[str, Any], source: str) -> dict[str, Any]:
    known = list(inspect.signature(BoostedInformationTree).parameters)
    for key in section:
        if key not in known:
            raise InputError(
                f"{source}: unknown key {key!r} in [train], which holds arguments of BoostedInformationTree: "
                f"{near_match(key, known)}"
            )
        if not isinstance(section[key], str | int | float | list):
            raise InputError(f"{source}: train.{key}={section[key]!r}: a text, number, truth value or list is needed.")
    return {key: None if value == "none" else value for key, value in section.items()}


# ---------------------------------------------------------------------- writing
def _plain(section: Any) -> dict[str, Any]:
    if section is None:
        return {}
    if isinstance(section, Mapping):
        return {key: "none" if value is None else _listed(value) for key, value in section.items()}
    values = {item.name: getattr(section, item.name) for item in fields(section)}
    kept = {key: _listed(value) for key, value in values.items() if value is not None}
    return {key: value for key, value in kept.items() if value not in ([], {})}


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # Texts, numbers and truth values of JSON are valid TOML.
    return json.dumps(value, ensure_ascii=False)
