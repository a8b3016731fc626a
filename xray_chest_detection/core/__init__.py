"""Values and pure functions: no torch, no pandas, no network."""
