"""Formulas by a network of operators that prunes itself while it learns (SymbolNet, arXiv:2401.09949).

A layer takes linear combinations z of what is below and applies one operator to each, or to each pair. Weights, inputs
and operators have trainable thresholds: a weight counts while |w| > t, an input and an operator while t < 1; a pruned
operator passes its argument, or the sum of its two. The step has the derivative of a sigmoid on the way back. A term
sum exp(-t) drives the thresholds up, and ends by a factor that vanishes at the wanted share of pruned parameters.

Ours differs in that one run gives many formulas: the network is read at intervals while it gets sparser, and every
restart aims at another sparsity.
"""

from __future__ import annotations

import importlib.util
import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bit.baselines._training import threads_of_torch
from bit.basis import FloatArray
from bit.distill._search import Problem, SearchInterrupted, SearchSettings, require_operators, require_options
from bit.errors import InputError
from bit.expression.fold import fold
from bit.expression.nodes import Constant, Integer, Node, Variable, call, complexity, evaluate
from bit.optional import require
from bit.progress import progress_bar

_LINEAR = ("add", "sub", "neg")
# Names of functions of torch, or formulas of them; roots get a floor, since their slopes are infinite at 0.
_UNARY: dict[str, Callable[[Any, Any], Any]] = {
    "square": lambda torch, z: z * z,
    "cube": lambda torch, z: z * z * z,
    "sqrt_abs": lambda torch, z: torch.sqrt(torch.abs(z) + 1e-6),
    "abs": lambda torch, z: torch.abs(z),
    "exp": lambda torch, z: torch.exp(z),
    "sin": lambda torch, z: torch.sin(z),
    "cos": lambda torch, z: torch.cos(z),
    "sinh": lambda torch, z: torch.sinh(z),
    "cosh": lambda torch, z: torch.cosh(z),
    "tanh": lambda torch, z: torch.tanh(z),
    "atan": lambda torch, z: torch.atan(z),
    "asinh": lambda torch, z: torch.asinh(z),
    "erf": lambda torch, z: torch.erf(z),
}
_BINARY: dict[str, Callable[[Any, Any, Any], Any]] = {
    "mul": lambda torch, a, b: a * b,
    "aq": lambda torch, a, b: a / torch.sqrt(1.0 + b * b),
}
OPERATORS = frozenset([*_LINEAR, *_UNARY, *_BINARY])

_OPTIONS = {"n_layers": 2, "copies": 2, "n_steps": 3000, "learning_rate": 0.01, "sparsity": (0.6, 0.95)}
_SLOPE = 5.0  # of the sigmoid that stands for the step on the way back
_DECAY = 0.01  # how suddenly pruning ends at the wanted sparsity
_PRUNING = 0.02  # of pruning against the error of a target of variance 1
_WARM_UP, _COOL_DOWN = 0.2, 0.8  # of the steps: pruning begins, masks are frozen
_READINGS = 40
_LONGEST = 4  # times the wanted complexity: longer ones are not even written
_LAST = 10  # times that for the last one, if no other could be read


def available() -> str | None:
    """Tell why the search cannot run, or None if it can."""
    return None if importlib.util.find_spec("torch") else "the package 'torch' is not installed"


def search(problem: Problem, settings: SearchSettings) -> list[Node]:
    """Train networks of falling complexity, and read formulas from them.

    Parameters
    ----------
    problem : Problem
        Scaled columns, target and weights.
    settings : SearchSettings
        Options: ``n_layers``, ``copies`` (of every operator in a layer), ``n_steps``, ``learning_rate``, ``sparsity``
        (smallest and largest share of pruned parameters over the restarts).

    Returns
    -------
    list of node
        Trees over ``problem.names``, the best of each complexity; at most ``settings.max_complexity`` nodes, or the
        simplest one found.

    Raises
    ------
    InputError
        For unknown operators and options, or if there is no operator besides sums.
    MissingPackageError
        If PyTorch is not installed.
    """
    require_operators("symbolnet", settings.operators, OPERATORS)
    require_options("symbolnet", settings.options, _OPTIONS)
    if not set(settings.operators) - set(_LINEAR):
        raise InputError(
            "the backend 'symbolnet' sums in every layer anyway: give an operator besides +, -, such as mul."
        )
    torch = require("torch", for_='backend="symbolnet"')
    options = {**_OPTIONS, **settings.options}
    least, most = options["sparsity"]
    sparsest = np.linspace(least, most, settings.n_restarts) if settings.n_restarts > 1 else np.array([most])
    readings = _Readings(problem, settings)
    n_steps = settings.n_restarts * options["n_steps"]
    with (
        threads_of_torch(torch, settings.n_jobs),
        progress_bar(n_steps, "SymbolNet", "steps", show=settings.verbose) as bar,
    ):
        try:
            for restart, sparsity in enumerate(sparsest):
                rng = np.random.default_rng([settings.seed, restart])
                network = _Network(torch, len(problem.names), settings.operators, options, rng)
                _train(network, float(sparsity), options, readings, bar)
                if readings.late:
                    break
        except KeyboardInterrupt:
            if not readings.best:
                raise
            message = "the search was interrupted; the formulas until then are kept."
            warnings.warn(message, SearchInterrupted, stacklevel=2)
    return readings.formulas()


class _Readings:
    """The best formula of each complexity so far, and the clock."""

    def __init__(self, problem: Problem, settings: SearchSettings) -> None:
        self.problem, self.settings = problem, settings
        self.columns = dict(zip(problem.names, problem.columns.T, strict=True))
        self.best: dict[int, tuple[float, Node]] = {}
        self.end = math.inf if settings.max_seconds is None else time.monotonic() + settings.max_seconds

    def add(self, network: _Network, *, last: bool = False) -> None:
        """Read the network as it is now, unless it is too long; the last one of a run is read if there is no other."""
        longest = _LONGEST * self.settings.max_complexity * (1 if self.best or not last else _LAST)
        if network.size() > longest:
            return
        try:
            node = fold(network.formula(self.problem.names))
        except InputError:
            return
        residual = evaluate(node, self.columns) - self.problem.target
        loss = float(np.mean(self.problem.weights * residual**2))
        nodes = complexity(node)
        if math.isfinite(loss) and loss < self.best.get(nodes, (math.inf, node))[0]:
            self.best[nodes] = (loss, node)

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self.end

    def formulas(self) -> list[Node]:
        """Those within the limit of complexity, or the simplest one."""
        ordered = [(nodes, node) for nodes, (_, node) in sorted(self.best.items())]
        return [node for nodes, node in ordered if nodes <= self.settings.max_complexity] or [
            node for _, node in ordered[:1]
        ]


class _Network:
    """Parameters, thresholds, and what they compute."""

    def __init__(
        self, torch: Any, n_features: int, operators: Sequence[str], options: dict[str, Any], rng: np.random.Generator
    ) -> None:
        self.torch = torch
        self.step = _step(torch)
        once = [name for name in operators if name not in _LINEAR]
        self.units = [name for name in once for _ in range(options["copies"])]
        self.n_arguments = [2 if name in _BINARY else 1 for name in self.units]
        n_arguments, n_below = sum(self.n_arguments), n_features
        self.weights: list[Any] = []
        self.biases: list[Any] = []
        for _ in range(options["n_layers"]):
            self._add_layer(rng, n_arguments, n_below)
            # Inputs stay within reach of every layer, so that short formulas need no detour.
            n_below = len(self.units) + n_features
        self._add_layer(rng, 1, n_below)
        self.inputs = self._zeros(n_features)
        self.gates = [self._zeros(len(self.units)) for _ in range(options["n_layers"])]
        self.weight_thresholds = [self._zeros(*weight.shape) for weight in self.weights]
        self.bias_thresholds = [self._zeros(*bias.shape) for bias in self.biases]

    def _add_layer(self, rng: np.random.Generator, n_out: int, n_in: int) -> None:
        values = rng.normal(scale=1.0 / math.sqrt(n_in), size=(n_out, n_in)).astype(np.float32)
        self.weights.append(self.torch.tensor(values, requires_grad=True))
        self.biases.append(self._zeros(n_out))

    def _zeros(self, *shape: int) -> Any:
        return self.torch.zeros(*shape, requires_grad=True)

    @property
    def thresholds(self) -> list[Any]:
        return [self.inputs, *self.gates, *self.weight_thresholds, *self.bias_thresholds]

    def masks(self) -> tuple[Any, list[Any], list[Any], list[Any]]:
        """Zeros and ones of inputs, operators, weights and biases."""
        weights = zip(self.weights, self.weight_thresholds, strict=True)
        biases = zip(self.biases, self.bias_thresholds, strict=True)
        return (
            self.step(1.0 - self.inputs),
            [self.step(1.0 - gate) for gate in self.gates],
            [self.step(weight.abs() - threshold) for weight, threshold in weights],
            [self.step(bias.abs() - threshold) for bias, threshold in biases],
        )

    def forward(self, columns: Any, masks: tuple[Any, list[Any], list[Any], list[Any]]) -> Any:
        """Output for every row."""
        inputs, gates, weight_masks, bias_masks = masks
        linear = self.torch.nn.functional.linear
        scaled = columns * inputs
        below = scaled
        for depth, gate in enumerate(gates):
            z = linear(below, self.weights[depth] * weight_masks[depth], self.biases[depth] * bias_masks[depth])
            below = self.torch.cat([self._operate(z, gate), scaled], dim=1)
        return linear(below, self.weights[-1] * weight_masks[-1], self.biases[-1] * bias_masks[-1])[:, 0]

    def _operate(self, z: Any, gate: Any) -> Any:
        outputs, position = [], 0
        for unit, (name, n_arguments) in enumerate(zip(self.units, self.n_arguments, strict=True)):
            arguments = [z[:, position + k] for k in range(n_arguments)]
            function = _BINARY[name] if n_arguments == 2 else _UNARY[name]
            open_ = gate[unit]
            outputs.append(open_ * function(self.torch, *arguments) + (1.0 - open_) * sum(arguments))
            position += n_arguments
        return self.torch.stack(outputs, dim=1)

    def regulariser(self, masks: tuple[Any, list[Any], list[Any], list[Any]], sparsity: float) -> Any:
        """Sum over the kinds of parameters of exp(-threshold), each ended at its share of pruned ones."""
        inputs, gates, weight_masks, bias_masks = masks
        kinds = [
            # All inputs and operators may be needed: half the sparsity of the weights.
            ([inputs], [self.inputs], 0.5 * sparsity),
            (gates, self.gates, 0.5 * sparsity),
            ([*weight_masks, *bias_masks], [*self.weight_thresholds, *self.bias_thresholds], sparsity),
        ]
        total = 0.0
        for kind_masks, thresholds, wanted in kinds:
            flat = self.torch.cat([mask.detach().flatten() for mask in kind_masks])
            pruned = 1.0 - float(flat.mean())
            left = wanted - min(pruned, wanted)
            decay = 0.0 if left <= 0.0 else math.exp(1.0 - (wanted / left) ** _DECAY)
            total = total + decay * self.torch.exp(-self.torch.cat([t.flatten() for t in thresholds])).mean()
        return total

    def pruned(self) -> tuple[FloatArray, list[FloatArray], list[FloatArray], list[FloatArray]]:
        """Masks of inputs and operators; weights and biases with zeros where they are pruned."""
        inputs, *lists = self.masks()
        gates, weights, biases = ([item.detach().numpy() for item in items] for items in lists)
        for masks, values in ((weights, self.weights), (biases, self.biases)):
            masks[:] = [mask * value.detach().numpy() for mask, value in zip(masks, values, strict=True)]
        return inputs.detach().numpy(), gates, weights, biases

    def size(self) -> int:
        """Number of nodes of the formula before it is shortened, without writing it."""
        inputs, _, weights, _ = self.pruned()
        below = np.array(inputs, dtype=np.float64)
        for weight in weights[:-1]:
            z = ((weight != 0.0) * (below > 0.0)) @ (below + 3.0)
            ends = np.cumsum(self.n_arguments)
            units = [1.0 + z[end - n : end].sum() for end, n in zip(ends, self.n_arguments, strict=True)]
            below = np.array([*units, *inputs])
        return int((((weights[-1] != 0.0) * (below > 0.0)) @ (below + 3.0))[0])

    def formula(self, names: Sequence[str]) -> Node:
        """The network as a tree of what is not pruned."""
        inputs, gates, weights, biases = self.pruned()
        features: list[Node] = [
            Variable(name) if kept else Integer(0) for name, kept in zip(names, inputs, strict=True)
        ]
        below = features
        for depth, gate in enumerate(gates):
            z = [_linear(row, bias, below) for row, bias in zip(weights[depth], biases[depth], strict=True)]
            below = [*self._units(z, gate), *features]
        return _linear(weights[-1][0], biases[-1][0], below)

    def _units(self, z: list[Node], gate: FloatArray) -> list[Node]:
        outputs, position = [], 0
        for name, n_arguments, kept in zip(self.units, self.n_arguments, gate, strict=True):
            arguments = z[position : position + n_arguments]
            position += n_arguments
            passed = arguments[0] if n_arguments == 1 else call("add", *arguments)
            outputs.append(fold(call(name, *arguments) if kept else passed))
        return outputs


def _linear(row: FloatArray, bias: float, below: Sequence[Node]) -> Node:
    """Linear combination of formulas, without the terms that vanish."""
    total: Node = Constant(float(bias)) if bias != 0.0 else Integer(0)
    for weight, node in zip(row, below, strict=True):
        if weight != 0.0 and node != Integer(0):
            total = call("add", total, call("mul", Constant(float(weight)), node))
    return fold(total)


def _step(torch: Any) -> Any:
    """The step function, with the derivative of a sigmoid."""

    class Step(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            context.save_for_backward(x)
            return (x > 0).to(x.dtype)

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            (x,) = context.saved_tensors
            s = torch.sigmoid(_SLOPE * x)
            return gradient * _SLOPE * s * (1.0 - s)

    return Step.apply


def _train(network: _Network, sparsity: float, options: dict[str, Any], readings: _Readings, bar: Any) -> None:
    """Learn and prune together; read the formula at intervals."""
    torch, problem, n_steps = network.torch, readings.problem, options["n_steps"]
    columns, target, weights = (
        torch.tensor(array, dtype=torch.float32) for array in (problem.columns, problem.target, problem.weights)
    )
    rate = options["learning_rate"]
    optimiser = torch.optim.Adam([*network.weights, *network.biases, *network.thresholds], lr=rate)
    every, frozen = max(1, n_steps // _READINGS), None
    for step in range(n_steps):
        progress = step / n_steps
        for group in optimiser.param_groups:
            group["lr"] = rate * 0.5 * (1.0 + math.cos(math.pi * progress))
        if progress >= _COOL_DOWN and frozen is None:
            inputs, *lists = network.masks()
            frozen = (inputs.detach(), *([mask.detach() for mask in masks] for masks in lists))
        masks = network.masks() if frozen is None else frozen
        loss = (weights * (network.forward(columns, masks) - target) ** 2).mean()
        if progress >= _WARM_UP and frozen is None:
            loss = loss + _PRUNING * network.regulariser(masks, sparsity)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*network.weights, *network.biases], 1.0)
        optimiser.step()
        with torch.no_grad():
            for threshold in network.thresholds:
                threshold.clamp_(0.0, 1.0 + 1e-3)
        bar.update(1)
        if progress >= _WARM_UP and (step % every == 0 or step == n_steps - 1):
            readings.add(network, last=step == n_steps - 1)
            if readings.late and readings.best:
                return
