"""What the bins of the features should hold equal shares of: events, |w_0|, the loss, or a mixture.

    python benchmarks/bin_edges.py [--events 500000] [--samples 3] [--trees 100]

Trains one forest for each of the nine functions of simulated ZH events, for every choice of `bin_weights`, and prints
rho^2 on 10^6 other events: mean and standard deviation over the training samples.
"""

from __future__ import annotations

import argparse

import numpy as np

import bit
from bit.metrics import rho2
from bit.processes import zh
from bit.trees.binner import BIN_WEIGHTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--trees", type=int, default=100)
    arguments = parser.parse_args()
    test = zh.simulate(1_000_000, seed=100).table
    truth = test.joint_ratio()
    found: dict[str, list[np.ndarray]] = {name: [] for name in BIN_WEIGHTS}
    for i in range(arguments.samples):
        train = zh.simulate(arguments.events, seed=1 + i).table
        for name, values in found.items():
            model = bit.BIT(arguments.trees, bin_weights=name, min_samples_leaf=20, strategy="separate").fit(train)
            values.append(rho2(truth, model.predict(test), test.weights[:, 0]))
    print("| bin_weights | " + " | ".join("*".join(term) for term in test.basis.terms[1:]) + " |")
    print("|---|" + "---|" * truth.shape[1])
    for name, values in found.items():
        means, spreads = np.mean(values, axis=0), np.std(values, axis=0, ddof=1 if len(values) > 1 else 0)
        cells = [f"{mean:.4f} ± {spread:.4f}" for mean, spread in zip(means, spreads, strict=True)]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
