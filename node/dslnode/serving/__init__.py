"""Predictions of personal models over HTTP."""
