"""Statistical models: processes with normalisation and shape nuisances, added up in channels.

Why backgrounds belong into the training
----------------------------------------
The data of a bin are a mixture of processes a: signals, whose weights are polynomials in theta, and backgrounds, whose
weights are constants. Their density is sum_a w_a(x | theta), so the likelihood ratio of an event is

    R(x | theta) = sum_a w_a(x | theta) / sum_a w_a(x | 0),

and by the Neyman-Pearson lemma no other function of x is more powerful; its score, sum_a d w_a(x) / sum_a w_a(x), is
the locally optimal observable. It is the signal's score times the signal's share s(x) / [s(x) + b(x)] at x. A training
without the background lacks that factor, and mixes events from where the background is large with others of the
same signal score. With the background's events in the training table (`EventTable.concat`; their w_a and w_ab are 0),
a leaf's ratio sum w_a / sum w_0 converges to R of the mixture, and nothing else needs to change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from bit.errors import InputError
from bit.inference.templates import Template


@dataclass(frozen=True, eq=False)
class Sample:
    r"""One process in one channel, with the nuisances that move it.

    lambda_b(theta, nu) = k prod_n kappa_n^nu_n { N_b(theta) + sum_s [h(nu_s) (U_s - N)_b + h(-nu_s) (D_s - N)_b] },

    with N, U, D the yields of the template and of its variations by +1 and -1 standard deviation.

    Parameters
    ----------
    template : Template
        Nominal yields with their own luminosity. The process is a background if its sums of all terms but the first
        are 0; it then does not add coefficients to the model.
    k_factor : float, default=1.0
        Multiplies the yields, positive.
    norm : mapping of str to float, optional
        Normalisation nuisances by name with kappa: the yield is multiplied by kappa^nu, log-normally distributed;
        1.02 is an uncertainty of about 2 %. A kappa below 1 is anticorrelated.
    shapes : mapping of str to (Template, Template), optional
        Shape nuisances by name with the templates (down, up) for nu = -1 and +1.

    Raises
    ------
    InputError
        For factors that are not positive, a name that is both, or variations with other edges.

    Notes
    -----
    Every nuisance has a unit Gaussian constraint and may move several samples, in several channels. h(nu) = nu above
    1, 0 below -1 and nu/2 + nu^2 (15 - 10 nu^2 + 3 nu^4)/16 between, twice continuously differentiable: "code 4p" of
    HistFactory (CERN-OPEN-2012-016) as in pyhf. It is linear in the templates, so that it applies to all terms of
    the polynomial at once and is exact at every theta. kappa^nu is the lnN of combine and "code 1" of pyhf; pyhf's
    default for normsys, "code 4", is a polynomial for abs(nu) < 1 with the same value and two derivatives at -1 and 1,
    which differs by less than 4e-10 of the yield for kappa = 1.2 and 5e-6 for kappa = 2.
    """

    template: Template
    k_factor: float = field(default=1.0, kw_only=True)
    norm: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    shapes: Mapping[str, tuple[Template, Template]] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        process = self.template.process
        for name, factor in {"k_factor": self.k_factor, **self.norm}.items():
            if not (np.isfinite(factor) and factor > 0):
                raise InputError(f"{name}={factor} of sample {process!r}: a factor must be positive, such as 1.02.")
        both = sorted(set(self.norm) & set(self.shapes))
        if both:
            raise InputError(
                f"{both[0]!r} is in norm and in shapes of sample {process!r}: put its normalisation into the templates."
            )
        for name, pair in self.shapes.items():
            if len(pair) != 2:
                raise InputError(f"shapes[{name!r}] of sample {process!r}: give two templates, (down, up).")
            for variation in pair:
                _require_same_edges(variation, self.template, f"shapes[{name!r}] of sample {process!r}")
        object.__setattr__(self, "norm", MappingProxyType({name: float(kappa) for name, kappa in self.norm.items()}))
        object.__setattr__(self, "shapes", MappingProxyType({name: tuple(pair) for name, pair in self.shapes.items()}))

    @property
    def process(self) -> str:
        """Name of the process."""
        return self.template.process

    @property
    def templates(self) -> tuple[Template, ...]:
        """The nominal template, then the variations."""
        return (self.template, *(variation for pair in self.shapes.values() for variation in pair))

    @property
    def param_names(self) -> tuple[str, ...]:
        """Coefficients on which the yields depend; none for a background."""
        signals = [template for template in self.templates if _depends(template)]
        return tuple(dict.fromkeys(name for template in signals for name in template.basis.param_names))

    def linear(self) -> Sample:
        """Return the sample without second-order terms (about the reference points of its templates).

        Returns
        -------
        Sample
            The same factors and nuisances.
        """
        shapes = {name: (down.linear(), up.linear()) for name, (down, up) in self.shapes.items()}
        return replace(self, template=self.template.linear(), shapes=shapes)


@dataclass(frozen=True, eq=False)
class Channel:
    """Processes that add up in the same bins.

    Parameters
    ----------
    name : str
        Name of the channel.
    samples : iterable of Sample or Template
        At least one; a Template stands for a sample without nuisances. All have the same edges.

    Raises
    ------
    InputError
        For no samples, two of one process, or edges that differ.
    """

    name: str
    samples: tuple[Sample, ...]

    def __init__(self, name: str, samples: Iterable[Sample | Template]) -> None:
        given = tuple(sample if isinstance(sample, Sample) else Sample(sample) for sample in samples)
        if not given:
            raise InputError(f"channel {name!r} has no samples: at least one is needed.")
        _require_distinct([sample.process for sample in given], f"channel {name!r} has two samples of process")
        for sample in given[1:]:
            _require_same_edges(sample.template, given[0].template, f"sample {sample.process!r} of channel {name!r}")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "samples", given)

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return self.samples[0].template.n_bins


@dataclass(frozen=True, eq=False)
class Model:
    """Channels that are fitted simultaneously; coefficients and nuisances are shared by name.

    Parameters
    ----------
    channels : iterable of Channel
        At least one, of different names.

    Attributes
    ----------
    param_names : tuple of str
        Coefficients of all samples, in order of appearance.
    nuisances : tuple of str
        Nuisances of all samples, in order of appearance.

    Raises
    ------
    InputError
        For no channels, repeated names, no coefficients, or a nuisance named like a coefficient.

    Examples
    --------
    >>> import numpy as np
    >>> from bit.basis import PolynomialBasis
    >>> def shape(process, sums):
    ...     return Template(process, PolynomialBasis(["c"], 1), [0, 1, 2], sums, np.zeros((2, 2, 2)), [0, 0], 10.0)
    >>> signal = Sample(shape("signal", [[5, 1], [3, 2]]), norm={"lumi": 1.02})
    >>> background = Sample(shape("background", [[9, 0], [2, 0]]), norm={"lumi": 1.02, "theory": 1.3})
    >>> model = Model([Channel("ee", [signal, background])])
    >>> model.param_names, model.nuisances
    (('c',), ('lumi', 'theory'))
    """

    channels: tuple[Channel, ...]

    def __init__(self, channels: Iterable[Channel]) -> None:
        given = tuple(channels)
        if not given:
            raise InputError("no channels: a model needs at least one.")
        _require_distinct([channel.name for channel in given], "two channels are named")
        object.__setattr__(self, "channels", given)
        if not self.param_names:
            raise InputError("no sample depends on a coefficient: add the signal.")
        clash = [name for name in self.nuisances if name in self.param_names]
        if clash:
            raise InputError(f"{clash[0]!r} is a coefficient and a nuisance: rename the nuisance.")

    @property
    def samples(self) -> tuple[Sample, ...]:
        """All samples, channel after channel."""
        return tuple(sample for channel in self.channels for sample in channel.samples)

    @property
    def param_names(self) -> tuple[str, ...]:
        """Coefficients of all samples, in order of appearance."""
        return tuple(dict.fromkeys(name for sample in self.samples for name in sample.param_names))

    @property
    def nuisances(self) -> tuple[str, ...]:
        """Nuisances of all samples, in order of appearance."""
        return tuple(dict.fromkeys(name for sample in self.samples for name in (*sample.norm, *sample.shapes)))

    def linear(self) -> Model:
        """Return the model without second-order terms (about the reference points of its templates).

        Returns
        -------
        Model
            The same channels, samples and nuisances.
        """
        return Model(Channel(channel.name, [s.linear() for s in channel.samples]) for channel in self.channels)

    def __repr__(self) -> str:
        """Return one line per channel."""
        lines = [f"Model(params={list(self.param_names)}, nuisances={list(self.nuisances)})"]
        for channel in self.channels:
            lines.append(f"  {channel.name}: {channel.n_bins} bins, {[s.process for s in channel.samples]}")
        return "\n".join(lines)


def _depends(template: Template) -> bool:
    """Whether yields or their Monte Carlo errors change with any coefficient."""
    return bool(template.sums[:, 1:].any() or template.sums_ww[:, 1:].any())


def _require_same_edges(template: Template, other: Template, what: str) -> None:
    same = len(template.edges) == len(other.edges)
    if not (same and all(np.array_equal(a, b) for a, b in zip(template.edges, other.edges, strict=True))):
        raise InputError(f"{what} has other edges than {other.process!r}: fill all templates of a channel alike.")


def _require_distinct(names: list[Any], what: str) -> None:
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InputError(f"{what} {repeated[0]!r}: names must differ.")
