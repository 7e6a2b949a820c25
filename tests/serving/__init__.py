"""Tests of predictions over HTTP."""
