"""Numbers of papers beside ours, one module for each process; `published.py` prints them, tests compare them.

- `rows`: one number beside ours, formulas fitted to events, errors;
- `reach`: expected limits from histograms of events and their CP images;
- `zh_undecayed`, `vbf`, `h4l`, `zh`, `wz`: the numbers of each process.
"""
