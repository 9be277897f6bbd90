"""Runs of the command line: one training in one folder, with its settings, history, pictures and report."""
