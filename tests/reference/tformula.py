"""A slow evaluator of ROOT's TFormula strings: C++ precedence, functions of the C library and of TMath."""

import re

import numpy as np

TOKEN = re.compile(r"\s*(\d+\.\d+(?:e-?\d+)?|x\[\d+\]|TMath::\w+|[a-z]\w*|[-+*/<>(),])")
# C functions, and TMath as it is written in ROOT: no function propagates NaN on purpose.
FUNCTIONS = {
    **{name: getattr(np, name) for name in ("sqrt", "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: getattr(np, f"arc{name[1:]}") for name in ("asin", "acos", "atan")},
    "pow": lambda a, b: np.power(np.float64(a), b),
    "TMath::Abs": np.abs,
    "TMath::ASinH": np.arcsinh,
    "TMath::Min": lambda a, b: np.where(a <= b, a, b),
    "TMath::Max": lambda a, b: np.where(a >= b, a, b),
}
# Binary operators by increasing strength; those of one group are taken from left to right.
LEVELS = (("<", ">"), ("+", "-"), ("*", "/"))
BINARY = {
    "<": lambda a, b: np.float64(a < b),
    ">": lambda a, b: np.float64(a > b),
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}


def evaluate(text, features, erf):
    """Value for each row of features; anything that TFormula would not read is an error."""
    tokens, end = [], 0
    while end < len(text):
        match = TOKEN.match(text, end)
        assert match, f"not TFormula: {text[end : end + 20]!r}"
        tokens.append(match[1])
        end = match.end()
    functions = FUNCTIONS | {"TMath::Erf": erf}

    def binary(level):
        if level == len(LEVELS):
            return unary()
        value = binary(level + 1)
        while tokens and tokens[0] in LEVELS[level]:
            operator = BINARY[tokens.pop(0)]
            value = operator(value, binary(level + 1))
        return value

    def unary():
        token = tokens.pop(0)
        if token == "-":
            return np.negative(unary())
        if token == "(":
            return closed(binary(0))
        if token in functions:
            assert tokens.pop(0) == "("
            arguments = [binary(0)]
            while tokens[0] == ",":
                tokens.pop(0)
                arguments.append(binary(0))
            return closed(functions[token](*arguments))
        if token.startswith("x["):
            return features[:, int(token[2:-1])]
        return np.float64(token)

    def closed(value):
        assert tokens.pop(0) == ")"
        return value

    with np.errstate(all="ignore"):
        value = binary(0)
    assert not tokens, f"not TFormula: {tokens}"
    return np.broadcast_to(value, len(features))
