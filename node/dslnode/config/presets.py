"""Defaults that change together: what ``--algorithm`` chooses."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "authors": {
        "exchange": "keep",
        "weights_per_score": 1,
        "mask_power": 0.0,
        "personal": "binary",
        "signed_scores": False,
        "shared_scores": False,
        "scale_kept": False,
        "random_first_mean": True,
        "mask_novelty": False,
        "adaptive_collaboration": False,
        "score_ema_decay": 0.0,
        "mean_ema_decay": 0.0,
        "own_classes": False,
        "step_rule": "momentum",
        "alpha": 1.0,
        "local_steps": 1,
        "batch_size": 128,
        "learning_rate": 10.0,
        "send_threshold": 0.0,
        "momentum": 0.0,
        "weight_decay": 5e-4,
        "fine_tuning": "stale",
        "fine_tuning_rate": 10.0,
        "keep_ratio": 0.3,
        "linear_keep_ratio": 0.9,
    },
}
"""Defaults by ``--algorithm``: ``authors`` is the paper's released configuration."""
