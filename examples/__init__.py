"""Examples that run in a minute on a CPU, on data that scikit-learn carries."""
