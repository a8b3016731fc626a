"""Runnable data preparation steps: `python -m data_prep.<step> CONFIG [--dotted.overrides]`. No logic lives here."""
