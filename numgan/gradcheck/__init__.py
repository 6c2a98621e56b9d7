"""The proof: every gradient against differences, every other formula against plain Python."""
