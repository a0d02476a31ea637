"""The tree of an exhaustive search, in exact rational arithmetic and without bins.

Every threshold between two values that occur in the sample is tried for every feature; the first of equal
gains wins (lowest feature, then lowest threshold). NaN goes right.
"""

import itertools
from fractions import Fraction


def information(events):
    nominal = sum(w[0] for _, w in events)
    return sum(sum(w[k] for _, w in events) ** 2 for k in range(1, len(events[0][1]))) / nominal


def allowed(events, min_samples, min_effective):
    if len(events) < min_samples:
        return False
    nominal = sum(w[0] for _, w in events)
    return nominal > 0 and nominal**2 >= min_effective * sum(w[0] ** 2 for _, w in events)


def best_split(events, thresholds, min_samples, min_effective):
    best = None
    for feature, values in enumerate(thresholds):
        for threshold in values:
            left = [event for event in events if event[0][feature] < threshold]
            right = [event for event in events if not event[0][feature] < threshold]
            if not all(allowed(part, min_samples, min_effective) for part in (left, right)):
                continue
            gain = information(left) + information(right)
            if sum(w[0] for _, w in events) > 0:
                gain -= information(events)
            if gain > (best[0] if best else 0):
                best = (gain, feature, threshold, left, right)
    return best


def grow_tree(features, weights, max_depth, min_samples, min_effective):
    """Leaves as (set of rows, exact values), in no particular order."""
    events = [
        ((*map(float, x), i), [Fraction(value) for value in w.tolist()])
        for i, (x, w) in enumerate(zip(features, weights, strict=True))
    ]
    thresholds = []
    for column in features.T:
        values = sorted({float(x) for x in column if x == x})
        middles = [(low + high) / 2 for low, high in itertools.pairwise(values)]
        thresholds.append(middles + ([values[-1] + 1] if (column != column).any() and values else []))
    leaves, open_nodes = [], [(events, 0)]
    while open_nodes:
        node, depth = open_nodes.pop()
        split = best_split(node, thresholds, min_samples, min_effective) if depth < max_depth else None
        if split is None:
            nominal = sum(w[0] for _, w in node)
            value = [sum(w[k] for _, w in node) / nominal for k in range(1, len(node[0][1]))]
            leaves.append((frozenset(x[-1] for x, _ in node), tuple(value)))
        else:
            open_nodes += [(split[3], depth + 1), (split[4], depth + 1)]
    return leaves
