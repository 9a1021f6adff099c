"""Target rows that the pool already contains."""
