"""Events of a configuration: reading, and division into parts for training, bins and results."""

from __future__ import annotations

from bit import plotting
from bit.config import BEST, LEARNED, TRUE, Config
from bit.errors import InputError, near_match
from bit.events import EventTable
from bit.files import existing_file
from bit.inference.experiment import Parts
from bit.io.arrays import read_npz, read_parquet
from bit.io.lhe import read_lhe
from bit.io.root import read_root
from bit.io.stream import stream_root


def read_events(config: Config) -> EventTable:
    """Read the events of a configuration.

    Parameters
    ----------
    config : Config
        Its section ``[data]`` is used; the suffix of the path decides about the format.

    Returns
    -------
    EventTable
        With the features and coefficients asked for.

    Raises
    ------
    InputError
        For missing files, features or coefficients, or a suffix of no known format.
    """
    data = config.data
    files = [existing_file(path) for path in data.path]
    suffix = "".join(files[0].suffixes[-2:]) if files[0].suffix == ".gz" else files[0].suffix
    how = {key: getattr(data, key) for key in ("unit", "norm") if getattr(data, key) is not None}
    if suffix == ".root" and data.cache is not None:
        stream = stream_root(files, cache=data.cache, features=data.features, tree=data.tree, params=data.params, **how)
        return stream.table()
    if suffix == ".root":
        return read_root(files, features=data.features, tree=data.tree, params=data.params, **how)
    if len(files) > 1:
        raise InputError(f"data.path names {len(files)} files: only ROOT files can be read together.")
    if data.cache is not None:
        raise InputError(f"data.cache={data.cache!r} is for ROOT files; {files[0]} is none, leave it out.")
    if data.tree is not None:
        raise InputError(f"data.tree={data.tree!r} is for ROOT files; {files[0]} is none, leave it out.")
    if suffix in (".npz", ".parquet"):
        if how:
            raise InputError(f"{files[0]} states its unit itself: leave data.unit and data.norm out.")
        if suffix == ".parquet":
            return read_parquet(files[0], features=data.features, params=data.params)
        return read_npz(files[0]).select(features=data.features, params=data.params)
    if suffix.endswith((".lhe", ".lhe.gz")):
        return read_lhe(files[0], params=data.params, **how).select(features=data.features)
    raise InputError(f"{files[0]} has the suffix {suffix!r}: .root, .npz, .parquet, .lhe and .lhe.gz are read.")


def divide(config: Config, table: EventTable) -> Parts:
    """Divide events into parts for training, bins and results.

    Parameters
    ----------
    config : Config
        Shares, seed, names of coefficients, features and observables, which are all checked here.
    table : EventTable
        All events.

    Returns
    -------
    Parts
        The same for the same configuration and events.

    Raises
    ------
    InputError
        If a name is unknown, a label cannot be drawn, or a part would be empty.
    """
    names = {"limits": config.limits.params, "contour": config.contour.params, "power": config.power.params}
    for section, params in names.items():
        for name in params or ():
            if name not in table.basis.param_names:
                raise InputError(
                    f"{section}.params: no coefficient {name!r}: {near_match(name, table.basis.param_names)}"
                )
    known = [*table.feature_names, BEST, LEARNED, TRUE]
    for name in config.observables.names:
        if name not in known:
            raise InputError(f"observables.names: no feature {name!r}: {near_match(name, known)}")
    for name, latex in config.data.labels.items():
        if name not in table.feature_names:
            raise InputError(f"data.labels: no feature {name!r}: {near_match(name, table.feature_names)}")
        plotting.feature_label(name, latex)  # refuses what could not be drawn after the work
    if config.cp is not None:
        mirrored(config, table.take(slice(0, 1)))  # refuses features that do not exist
        for name in config.cp.odd_params:
            if name not in table.basis.param_names:
                raise InputError(f"cp.odd_params: no coefficient {name!r}: {near_match(name, table.basis.param_names)}")
    return Parts(*table.split(config.data.split, config.output.seed))


def mirrored(config: Config, table: EventTable) -> EventTable:
    """Return the events together with their CP images, if the configuration has a parity."""
    return table if config.cp is None else table.with_cp_mirror(config.cp)
