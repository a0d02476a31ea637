"""Weights of a network by gradient descent: batches, epochs, early stopping. PyTorch is handed in by its owner."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from bit.baselines._network import Layers
from bit.basis import FloatArray
from bit.errors import BitWarning
from bit.progress import progress_bar
from bit.threads import n_threads_of

_VALIDATION_BATCH = 65536

Loss = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Batchable:
    """Arrays of which a batch takes the same rows: inputs, inputs of the CP images (or None), and targets."""

    inputs: Any
    images: Any
    targets: tuple[Any, ...]

    def take(self, rows: Any) -> Batchable:
        images = None if self.images is None else self.images[rows]
        return Batchable(self.inputs[rows], images, tuple(target[rows] for target in self.targets))

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Training:
    """How the weights of a network are found."""

    n_epochs: float
    batch_size: int
    learning_rate: float
    schedule: str
    patience: int
    show_progress: bool

    def rate(self, progress: float) -> float:
        """Learning rate after a fraction of all steps."""
        return self.learning_rate * (1.0 - progress if self.schedule == "linear" else 1.0)


class Trainer:
    """Adam on the parameters of one network; every random number comes from one numpy generator."""

    def __init__(self, torch: Any, layers: Layers, parity: FloatArray | None, loss: Loss) -> None:
        self.torch, self.loss = torch, loss
        self.parameters = [torch.tensor(array, requires_grad=True) for layer in layers for array in layer]
        self.parity = None if parity is None else torch.tensor(parity, dtype=torch.float32)
        self.best = self.weights()
        self.train_loss: list[float] = []
        self.validation_loss: list[float] = []
        self.interrupted = False

    def weights(self) -> Layers:
        """Copies of the present weights and biases."""
        arrays = [parameter.detach().numpy().copy() for parameter in self.parameters]
        return tuple(zip(arrays[::2], arrays[1::2], strict=True))

    def forward(self, inputs: Any) -> Any:
        functional, values = self.torch.nn.functional, inputs
        for depth in range(0, len(self.parameters), 2):
            values = functional.linear(values if depth == 0 else functional.silu(values), *self.parameters[depth:][:2])
        return values

    def loss_of(self, batch: Batchable) -> Any:
        """Sum of the loss over events."""
        output = self.forward(batch.inputs)
        if batch.images is not None:
            output = 0.5 * (output + self.parity * self.forward(batch.images))
        return self.loss(output, *batch.targets)

    def run(self, train: Batchable, validation: Batchable | None, training: Training, rng: np.random.Generator) -> None:
        """Train, and leave the weights to keep in `best`."""
        per_epoch = math.ceil(len(train) / training.batch_size)
        n_steps = max(1, round(training.n_epochs * per_epoch))
        optimiser = self.torch.optim.Adam(self.parameters, lr=training.learning_rate, fused=True)
        with progress_bar(n_steps, "Training", "batches", show=training.show_progress) as bar:
            try:
                for first in range(0, n_steps, per_epoch):
                    steps = range(first, min(first + per_epoch, n_steps))
                    self.epoch(train, training, optimiser, steps, n_steps, rng, bar)
                    self.keep(validation)
                    bar.set_postfix_str(f"loss {(self.validation_loss or self.train_loss)[-1]:.6g}", refresh=False)
                    if validation is not None and self.stale >= training.patience:
                        break
            except KeyboardInterrupt:
                if not self.train_loss:
                    raise
                self.interrupted = True
                warnings.warn(
                    f"interrupted after {len(self.train_loss)} of {math.ceil(training.n_epochs)} epochs; "
                    "the model holds the best weights found so far.",
                    BitWarning,
                    stacklevel=3,
                )

    def epoch(
        self,
        train: Batchable,
        training: Training,
        optimiser: Any,
        steps: range,
        n_steps: int,
        rng: np.random.Generator,
        bar: Any,
    ) -> None:
        order = self.torch.from_numpy(rng.permutation(len(train)))
        total, seen = 0.0, 0
        for step, rows in zip(steps, order.split(training.batch_size), strict=False):
            optimiser.param_groups[0]["lr"] = training.rate(step / n_steps)
            optimiser.zero_grad()
            loss = self.loss_of(train.take(rows))
            (loss / len(rows)).backward()
            optimiser.step()
            total, seen = total + loss.detach(), seen + len(rows)
            bar.update(1)
        self.train_loss.append(float(total) / seen)

    def keep(self, validation: Batchable | None) -> None:
        """Note the loss of the events apart, and the weights if it is the lowest."""
        if validation is None:
            self.best = self.weights()
            return
        with self.torch.no_grad():
            blocks = [slice(low, low + _VALIDATION_BATCH) for low in range(0, len(validation), _VALIDATION_BATCH)]
            total = sum(float(self.loss_of(validation.take(rows))) for rows in blocks)
        self.validation_loss.append(total / len(validation))
        if self.stale == 0:
            self.best = self.weights()

    @property
    def stale(self) -> int:
        """Epochs since the lowest validation loss."""
        return len(self.validation_loss) - 1 - int(np.argmin(self.validation_loss))


def initial_layers(widths: Sequence[int], rng: np.random.Generator) -> Layers:
    """Uniform weights and biases in +-1/sqrt(inputs), the default of PyTorch; a tenth of that in the last layer."""
    layers = []
    for depth, (n_in, n_out) in enumerate(pairwise(widths), start=1):
        bound = (0.1 if depth == len(widths) - 1 else 1.0) / math.sqrt(n_in)
        weight = rng.uniform(-bound, bound, (n_out, n_in)).astype(np.float32)
        layers.append((weight, rng.uniform(-bound, bound, n_out).astype(np.float32)))
    return tuple(layers)


@contextmanager
def threads_of_torch(torch: Any, n_jobs: int | None) -> Iterator[None]:
    """So many threads of PyTorch, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads_of(n_jobs))
    try:
        yield
    finally:
        torch.set_num_threads(before)
