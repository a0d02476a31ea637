"""Reading and writing of events: ROOT (TTree and RNTuple), LHE, npz, Parquet."""
