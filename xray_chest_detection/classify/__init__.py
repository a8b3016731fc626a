"""Image classifiers that share the tables, splits and cards of the detector."""
