"""Information trees: binning, growing, boosting, and the forest that comes out."""
