"""All observables and methods on one sample: the same events for training, for bins, and for the result.

``bit.compare.compare(table, lumi_fb=300.0)`` returns a `Comparison`: per coefficient the expected interval, the
information kept, and times, as text, JSON and LaTeX; ``bit.plotting.comparison`` draws it.
"""

from bit.compare.methods import METHODS
from bit.compare.result import Comparison, Note, Row
from bit.compare.running import compare

__all__ = ["METHODS", "Comparison", "Note", "Row", "compare"]
