"""Losses to verdicts, with numpy and scipy only."""
