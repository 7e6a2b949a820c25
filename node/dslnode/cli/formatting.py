"""Numbers as text for people: percentages, and amounts with decimal prefixes."""

from __future__ import annotations


def percent(fraction: float | None) -> str:
    """Return a fraction (0 to 1) in percent with one decimal, such as ``97.5 %``; ``-`` for None."""
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def exact_percent(fraction: float) -> str:
    """Return a fraction in percent, with more decimals than one where it has them, such as ``99.99 %``."""
    amount = round(100 * fraction, 9)
    return percent(fraction) if round(amount, 1) == amount else f"{amount:.12g} %"


def si_amount(amount: float, unit: str = "B") -> str:
    """Return an amount (0 or more) in two or three digits with a decimal prefix, such as ``1.2 MB``."""
    for prefix in ("", "k", "M", "G", "T"):
        if amount < 999.5:
            return f"{amount:.1f} {prefix}{unit}" if prefix and amount < 99.95 else f"{amount:.0f} {prefix}{unit}"
        amount /= 1000
    return f"{amount:.0f} P{unit}"
