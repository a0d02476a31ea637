"""Reading and writing of events: ROOT (TTree and RNTuple), NanoAOD, LHE, npz, Parquet, MadMiner."""
