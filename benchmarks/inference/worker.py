"""A process that answers with one runtime; its arguments are RUNTIME MODEL ROWS SHAPE OUTPUTS BEGAN.

It prints the seconds from ``BEGAN`` (monotonic) to its first answer. Then it reads a word per line, and prints
a number: ``one`` and ``many`` are seconds for 1 and 256 rows, ``peak`` is its peak memory in MiB, ``all`` writes the
outputs to all rows. It loads nothing but numpy and its runtime.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

Answer = Callable[[np.ndarray], np.ndarray]
TURNS = 20
BATCH = 256


def main() -> None:
    """Answer until standard input ends."""
    runtime, model, rows_file, shape, outputs_file, began = sys.argv[1:]
    answer = RUNTIMES[runtime](model)
    some = next(batches(rows_file, shape))
    answer(some[:1])
    print(time.monotonic() - float(began), flush=True)
    for line in sys.stdin:
        word = line.strip()
        started = time.perf_counter()
        if word == "one":
            for _ in range(TURNS):
                answer(some[:1])
            found = (time.perf_counter() - started) / TURNS
        elif word == "many":
            answer(some)
            found = time.perf_counter() - started
        elif word == "peak":
            found = peak_mib()
        else:
            parts = [answer(batch) for batch in batches(rows_file, shape)]
            np.concatenate(parts).astype(np.float32).tofile(outputs_file)
            found = 0
        print(found, flush=True)


def batches(rows_file: str, shape: str) -> Iterator[np.ndarray]:
    """Yield the rows of a file of float32, so many at a time; ``shape`` is that of one, as ``1x28x28``."""
    sides = tuple(map(int, shape.split("x")))
    with open(rows_file, "rb") as file:
        while len(values := np.fromfile(file, np.float32, BATCH * math.prod(sides))):
            yield values.reshape(-1, *sides)


def peak_mib() -> float:
    """Return the most memory that was resident so far."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def _numpy(model: str) -> Answer:
    from dslnode.inference.predictor import load_model

    return load_model(model).outputs


def _torch(model: str) -> Answer:
    import torch

    from dslnode.inference.predictor import load_model

    torch.set_num_threads(1)
    return _of_module(load_model(model).as_torch())


def _program(model: str) -> Answer:
    import torch

    torch.set_num_threads(1)
    with open(model, "rb") as file:
        return _of_module(torch.export.load(file).module())


def _of_module(module: Callable[..., object]) -> Answer:
    import torch

    def answer(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            outputs = module(torch.from_numpy(rows))
        assert isinstance(outputs, torch.Tensor)
        return outputs.numpy()

    return answer


def _onnxruntime(model: str) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def answer(rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = session.run(["outputs"], {"inputs": rows})[0]
        return found

    return answer


RUNTIMES: dict[str, Callable[[str], Answer]] = {
    "numpy": _numpy,
    "torch": _torch,
    "torch.export": _program,
    "onnxruntime": _onnxruntime,
}

if __name__ == "__main__":
    main()
