"""Forests, and formulas, as C++17 headers that need nothing but the standard library.

In ROOT, with ``observable.hpp`` beside the macro and the names of the forest's features as columns of the tree (here
``pt_z``, ``phi``, ``mll``, in the order of ``observable::feature_names``)::

    #include "observable.hpp"

    auto events = ROOT::RDataFrame("events", "zh.root");
    auto with_r = events.Define("r", [](double pt_z, double phi, double mll) {
        const double x[] = {pt_z, phi, mll};
        return observable::evaluate(x)[0];                  // observable::output_names[0]
    }, {"pt_z", "phi", "mll"});

and from Python::

    ROOT.gInterpreter.Declare('#include "observable.hpp"')
    events = ROOT.RDataFrame("events", "zh.root").Define(
        "r", "const double x[] = {pt_z, phi, mll}; return observable::evaluate(x)[0];"
    )

``evaluate`` has no state, so any number of threads (``ROOT::EnableImplicitMT``) may call it. A complete program without
ROOT, which reads CSV, is ``tests/export/example.cpp``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from string import Template
from typing import Final

import numpy as np
import numpy.typing as npt

from bit.export._source import check_name, cpp_array, cpp_text, hexadecimals
from bit.export._tables import Tables, describe, groups_with_trees, output_names, tables_of
from bit.export.formula import cpp_header
from bit.expression.expression import Expression
from bit.files import replacing
from bit.trees.forest import Forest
from bit.trees.walk import depths_of

_HEADER: Final = Template("""\
// Boosted information trees, written by bit $version.
//
//     const auto r = $name::evaluate(x);              // x: $n_features numbers in the order of feature_names
//     $name::evaluate(x, n_events, out);              // many events, one after the other
//
// r[k] is the output output_names[k]. Each feature is cast to float; x < threshold goes left, anything else (NaN too)
// goes right. Sums are taken in double, base first, then tree by tree: the numbers are those of Forest.predict in bit,
// bit for bit, at every level of optimisation. This includes processors with fused multiply-add (-march=native, or
// AArch64), where compilers by default contract a * b + c and so round once instead of twice: products that are added
// are rounded on their own here (detail::rounded), so -ffp-contract=off is not needed. -ffast-math is refused.
//
$description

#ifndef $guard
#define $guard

#if defined(__FAST_MATH__) || defined(_M_FP_FAST) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "this header needs NaN, infinity and the order of sums: compile without -ffast-math"
#endif

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace $name {

inline constexpr std::size_t n_features = $n_features;
inline constexpr std::size_t n_outputs = $n_outputs;
inline constexpr std::array<const char*, n_features> feature_names = $feature_names;
inline constexpr std::array<const char*, n_features> feature_units = $feature_units;
inline constexpr std::array<const char*, n_outputs> output_names = $output_names;
inline constexpr const char* bit_version = $version_text;
inline constexpr const char* sha256 = $sha256;  // of the forest as bit-forest/1 JSON

namespace detail {

static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559, "IEEE 754 is needed");
static_assert(FLT_EVAL_METHOD == 0, "numbers wider than double would round otherwise: on 32-bit x86 use -mfpmath=sse");

// A split has its left and right child; a leaf leads to itself, so that all paths of a tree are equally long and the
// processor has no branch to guess.
struct Node {
  std::int32_t feature;
  float threshold;
  std::int32_t children[2];
};

// To each output of a leaf is added slope * (min(max(x[feature], low), high) - centre).
struct Term {
  std::int32_t feature;
  double low;
  double high;
  double centre;
};

// Trees that share their splits over some outputs.
struct Group {
  std::size_t n_trees;
  std::size_t n_outputs;
  std::size_t n_terms;           // of each leaf; 0 for constant leaves
  std::size_t n_splits;
  const std::int32_t* roots;     // [n_trees]
  const std::int32_t* depths;    // [n_trees]: splits on the longest path
  const std::int32_t* outputs;   // [n_outputs]
  const Node* nodes;             // splits, then leaves
  const double* values;          // [leaf][n_outputs]
  const Term* terms;             // [leaf][n_terms]
  const double* slopes;          // [leaf][n_terms][n_outputs]
};

inline constexpr std::size_t max_terms = $max_terms;
inline constexpr std::size_t max_trees = $max_trees;
inline constexpr std::array<double, n_outputs> base = $base;
$tables
inline constexpr std::array<Group, $n_groups> groups = $groups;

// The product, rounded to double before anything is added to it: volatile forbids a fused multiply-add.
inline double rounded(double slope, double deviation) noexcept {
  const volatile double product = slope * deviation;
  return product;
}

inline std::array<double, n_outputs> sum_of_trees(const std::array<float, n_features>& x) noexcept {
  std::array<double, n_outputs> total = base;
  for (const Group& group : groups) {
    std::array<std::size_t, max_trees> leaves;  // the next walk does not wait for the sum
    for (std::size_t tree = 0; tree < group.n_trees; ++tree) {
      std::size_t at = static_cast<std::size_t>(group.roots[tree]);
      for (std::int32_t step = 0; step < group.depths[tree]; ++step) {
        const Node& node = group.nodes[at];
        const bool right = !(x[static_cast<std::size_t>(node.feature)] < node.threshold);
        at = static_cast<std::size_t>(node.children[right]);
      }
      leaves[tree] = at - group.n_splits;
    }
    for (std::size_t tree = 0; tree < group.n_trees; ++tree) {
      const std::size_t leaf = leaves[tree];
      const double* value = group.values + leaf * group.n_outputs;
      if (group.n_terms == 0) {
        for (std::size_t k = 0; k < group.n_outputs; ++k) {
          total[static_cast<std::size_t>(group.outputs[k])] += value[k];
        }
        continue;
      }
      const Term* terms = group.terms + leaf * group.n_terms;
      const double* slopes = group.slopes + leaf * group.n_terms * group.n_outputs;
      double deviation[max_terms] = {};
      bool finite = true;
      for (std::size_t m = 0; m < group.n_terms; ++m) {
        const double y = x[static_cast<std::size_t>(terms[m].feature)];
        finite = finite && std::isfinite(y);
        deviation[m] = std::min(std::max(y, terms[m].low), terms[m].high) - terms[m].centre;
      }
      const std::size_t n_terms = finite ? group.n_terms : 0;  // else the leaf is constant
      for (std::size_t k = 0; k < group.n_outputs; ++k) {
        double sum = value[k];
        for (std::size_t m = 0; m < n_terms; ++m) {
          sum += rounded(slopes[m * group.n_outputs + k], deviation[m]);
        }
        total[static_cast<std::size_t>(group.outputs[k])] += sum;
      }
    }
  }
  return total;
}
$parity
}  // namespace detail

// All outputs of one event; x points to n_features numbers.
inline std::array<double, n_outputs> evaluate(const double* x) noexcept {
  std::array<float, n_features> features{};
  for (std::size_t f = 0; f < n_features; ++f) {
    features[f] = static_cast<float>(x[f]);
  }
  return detail::$evaluate(features);
}

// All outputs of many events: x[event * n_features + feature] gives out[event * n_outputs + output].
inline void evaluate(const double* x, std::size_t n_events, double* out) noexcept {
  for (std::size_t event = 0; event < n_events; ++event) {
    const std::array<double, n_outputs> prediction = evaluate(x + event * n_features);
    std::copy(prediction.begin(), prediction.end(), out + event * n_outputs);
  }
}

}  // namespace $name

#endif  // $guard
""")

_TABLES: Final = Template("""
inline constexpr std::array<std::int32_t, $n_trees> roots_$i = $roots;
inline constexpr std::array<std::int32_t, $n_trees> depths_$i = $depths;
inline constexpr std::array<std::int32_t, $n_outputs> outputs_$i = $outputs;
inline constexpr std::array<Node, $n_nodes> nodes_$i = $nodes;
inline constexpr std::array<double, $n_values> values_$i = $values;
inline constexpr std::array<Term, $n_all_terms> terms_$i = $terms;
inline constexpr std::array<double, $n_slopes> slopes_$i = $slopes;
""")

_GROUP: Final = Template(
    "{$n_trees, $n_outputs, $n_terms, $n_splits, roots_$i.data(), depths_$i.data(), outputs_$i.data(), "
    "nodes_$i.data(), values_$i.data(), terms_$i.data(), slopes_$i.data()}"
)

_PARITY: Final = Template("""
inline constexpr std::array<std::size_t, n_features> permutation = $permutation;
inline constexpr std::array<float, n_features> sign = $sign;
inline constexpr std::array<double, n_outputs> parity = $parity;

// f(x) = (g(x) + parity g(image of x)) / 2 is even or odd to the last bit.
inline std::array<double, n_outputs> symmetric_sum(const std::array<float, n_features>& x) noexcept {
  std::array<float, n_features> image{};
  for (std::size_t f = 0; f < n_features; ++f) {
    image[f] = x[permutation[f]] * sign[f];
  }
  std::array<double, n_outputs> total = sum_of_trees(x);
  const std::array<double, n_outputs> of_image = sum_of_trees(image);
  for (std::size_t k = 0; k < n_outputs; ++k) {
    total[k] = 0.5 * (total[k] + parity[k] * of_image[k]);
  }
  return total;
}
""")


def to_cpp(model: Forest | Expression, path: str | os.PathLike[str], *, name: str = "observable") -> None:
    """Write a forest or a formula as a C++17 header without dependencies.

    The header defines ``std::array<double, n_outputs> NAME::evaluate(const double* x)`` for one event and
    ``void NAME::evaluate(const double* x, std::size_t n_events, double* out)`` for many, and the constants
    ``n_features``, ``n_outputs``, ``feature_names``, ``feature_units``, ``output_names``, ``bit_version``, ``sha256``.
    The numbers of a forest are those of ``forest.predict`` bit for bit, whatever the level of optimisation and whether
    or not the processor has fused multiply-add; those of a formula, ``double NAME::value(const double* x)`` too, differ
    from ``expression.predict`` by the last digits of the C library's functions (`bit.expression.rounding`).
    ``-ffast-math`` is refused. Thresholds, values and constants stand as hexadecimal literals.

    Parameters
    ----------
    model : Forest or Expression
        Trees: constant or linear leaves, any number of outputs and groups, with or without exact parity. A model that
        was trained with ``positive=True`` is written before its projection, and the header says so. Or a formula.
    path : str or path-like
        The header; an older one is replaced only by a complete one.
    name : str, default="observable"
        Namespace.

    Raises
    ------
    InputError
        If `name` is no identifier of C++, the formula is nested too deeply, or the file cannot be written.
    """
    check_name(name)
    text = _header(model, name) if isinstance(model, Forest) else cpp_header(model, name)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _header(forest: Forest, name: str) -> str:
    description = describe(forest)
    trees = groups_with_trees(forest)
    groups = [tables_of(group) for group in trees]
    depths = [depths_of(group.feature, group.left, group.right, group.tree_offset) for group in trees]
    features = description["features"]
    comment = json.dumps(description, indent=2, ensure_ascii=True).splitlines()
    return _HEADER.substitute(
        name=name,
        # With the checksum two forests of one name clash loudly, instead of one hiding the other.
        guard=f"BIT_{name}_{description['sha256'][:16]}",
        version=description["version"],
        version_text=cpp_text(description["version"]),
        sha256=cpp_text(description["sha256"]),
        description="\n".join(f"// {line}" for line in comment),
        n_features=forest.n_features,
        n_outputs=forest.n_outputs,
        feature_names=cpp_array(map(cpp_text, (feature["name"] for feature in features))),
        feature_units=cpp_array(map(cpp_text, (feature["unit"] for feature in features))),
        output_names=cpp_array(map(cpp_text, output_names(forest))),
        max_trees=max([1, *(len(group.roots) for group in groups)]),
        max_terms=max([1, *(group.n_terms for group in groups)]),
        base=cpp_array(hexadecimals(forest.base)),
        tables="".join(_tables(i, *parts) for i, parts in enumerate(zip(groups, depths, strict=True))),
        n_groups=len(groups),
        groups=cpp_array(_GROUP.substitute(_sizes(i, group)) for i, group in enumerate(groups)),
        parity="" if forest.cp is None else _parity(forest),
        evaluate="sum_of_trees" if forest.cp is None else "symmetric_sum",
    )


def _sizes(i: int, group: Tables) -> dict[str, int]:
    return {
        "i": i,
        "n_trees": len(group.roots),
        "n_outputs": len(group.outputs),
        "n_terms": group.n_terms,
        "n_splits": len(group.feature),
    }


def _tables(i: int, group: Tables, depths: npt.NDArray[np.int64]) -> str:
    n_leaves, n_splits = len(group.value), len(group.feature)
    roots, left, right = (np.where(part < 0, n_splits + ~part, part) for part in (group.roots, group.left, group.right))
    leaves = n_splits + np.arange(n_leaves)
    nodes = [
        *_records(group.feature, (f"{word}F" for word in hexadecimals(group.threshold)), _records(left, right)),
        *_records([0] * n_leaves, ["0.0F"] * n_leaves, _records(leaves, leaves)),
    ]
    bounds = (hexadecimals(part) for part in (group.low, group.high, group.centre))
    return _TABLES.substitute(
        _sizes(i, group),
        n_nodes=len(nodes),
        n_values=group.value.size,
        n_all_terms=group.columns.size,
        n_slopes=group.slope.size,
        roots=cpp_array(map(str, roots)),
        depths=cpp_array(map(str, depths)),
        outputs=cpp_array(map(str, group.outputs)),
        nodes=cpp_array(nodes),
        values=cpp_array(hexadecimals(group.value)),
        terms=cpp_array(_records(group.columns.ravel(), *bounds)),
        slopes=cpp_array(hexadecimals(group.slope)),
    )


def _parity(forest: Forest) -> str:
    assert forest.cp is not None
    return _PARITY.substitute(
        permutation=cpp_array(map(str, forest.cp.permutation)),
        sign=cpp_array(f"{word}F" for word in hexadecimals(forest.cp.sign)),
        parity=cpp_array(hexadecimals(forest.cp.parity)),
    )


def _records(*columns: Iterable[object]) -> list[str]:
    return ["{" + ", ".join(map(str, row)) + "}" for row in zip(*columns, strict=True)]
