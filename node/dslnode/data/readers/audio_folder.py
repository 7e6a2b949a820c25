"""Reads a folder of WAV files sorted by class (`audio:DIR`) as spectrograms: how loud each band is over time.

Sounds are mixed to one channel, brought to one rate and one length, and become the logarithm of the power in
frequency bands that are as wide as they are heard (mel). Each band is scaled by this node's own training data.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dslnode.data.readers.class_folders import LabelledFiles, Skipped, find_files
from dslnode.data.readers.raw import MAX_FILE_BYTES, RawExamples, RawSet, check_size
from dslnode.data.scaling import feature_scales, scaled
from dslnode.data.schema import AudioShape, Schema
from dslnode.data.spec_options import AudioOptions
from dslnode.errors import DataError

SUFFIXES = frozenset({".wav", ".wave"})
MAX_RATE = 16_000
"""Samples per second that are kept where neither schema nor options say: enough for speech and machines."""
MAX_SECONDS = 10.0
MIN_SECONDS = 0.1
MAX_FRAMES = 128
STEP_SECONDS, WINDOW_SECONDS = 0.01, 0.025
LOWEST_HERTZ = 20.0
QUIET = 1e-3
"""Power below which nothing is heard: 64 dB under a tone of full scale. It keeps the noise of few bits out."""
FULL_SCALE = {1: 128.0, 2: 2.0**15, 3: 2.0**23, 4: 2.0**31}
"""The loudest value of a sample, by its bytes."""

Floats = NDArray[np.float32]
BROKEN = (wave.Error, EOFError, OSError, ValueError, ZeroDivisionError, RuntimeError)
"""What ``wave`` raises for files that are damaged; RuntimeError where a chunk claims to go on after the end."""


def read_audio_folder(directory: Path, options: AudioOptions, schema: Schema | None) -> RawSet:
    """Read all sounds; they have the shape (n, 1, bands, frames), float32.

    Length, rate and bands are those of the schema or the options, else the median length and the usual rate of the
    files. Files that cannot be read are left out and counted. Raises DataError if none can.
    """
    skipped = Skipped()
    folders = find_files(directory, SUFFIXES, schema.classes if schema else (), skipped)
    shape = schema.audio if schema and schema.audio else _find_shape(folders.train, options)
    train = _read_part(folders.train, shape, skipped)
    centre, scale = feature_scales(train.images[:, 0].transpose(0, 2, 1))

    def by_band(part: RawExamples) -> RawExamples:
        images = scaled(part.images, centre[:, np.newaxis], scale[:, np.newaxis])
        return RawExamples(images, part.labels, part.source)

    held_out = None if folders.held_out is None else by_band(_read_part(folders.held_out, shape, skipped))
    frames = train.images.shape[3]
    note = f"{shape.seconds:g} s at {shape.rate} Hz become {shape.bands} bands by {frames} frames"
    return RawSet(
        by_band(train),
        held_out,
        full_scale=1,
        class_count=len(folders.classes),
        class_names=folders.classes,
        notes=(note, f"classes {', '.join(folders.classes[:12])}", *skipped.notes()),
        schema=Schema(classes=folders.classes, audio=shape),
    )


def _find_shape(part: LabelledFiles, options: AudioOptions) -> AudioShape:
    lengths, rates = [], []
    for path, _ in part.files:
        try:
            with wave.open(str(path), "rb") as sound:
                rates.append(sound.getframerate())
                lengths.append(sound.getnframes() / sound.getframerate())
        except BROKEN:
            continue
    if not lengths:
        raise DataError(f"{part.root}: none of its {len(part.files)} WAV files can be read; save them as PCM")
    seconds = options.seconds or round(float(np.clip(np.median(lengths), MIN_SECONDS, MAX_SECONDS)), 3)
    rate = options.rate or int(np.clip(np.median(rates), 1_000, MAX_RATE))
    return AudioShape(seconds=seconds, rate=rate, bands=options.bands or 32)


def _read_part(part: LabelledFiles, shape: AudioShape, skipped: Skipped) -> RawExamples:
    step, window = _frame_samples(shape)
    filters = _mel_filters(shape, window)
    frames = 1 + max(0, round(shape.seconds * shape.rate) - window) // step
    check_size((len(part.files), shape.bands, frames), str(part.root))
    spectrograms = np.empty((len(part.files), 1, shape.bands, frames), dtype=np.float32)
    labels: list[int] = []
    for path, label in part.files:
        samples = _read_samples(path, shape)
        if samples is None:
            skipped.add("that cannot be read", path)
            continue
        spectrograms[len(labels), 0] = _spectrogram(samples, (step, window), filters)
        labels.append(label)
    if not labels:
        raise DataError(f"{part.root}: none of its {len(part.files)} WAV files can be read; save them as PCM")
    return RawExamples(spectrograms[: len(labels)], np.array(labels), source=str(part.root))


def _frame_samples(shape: AudioShape) -> tuple[int, int]:
    """Return step and length of a frame in samples: 10 and 25 ms, longer where there would be too many frames."""
    stretch = max(1.0, shape.seconds / STEP_SECONDS / MAX_FRAMES)
    step, window = (max(1, round(part * stretch * shape.rate)) for part in (STEP_SECONDS, WINDOW_SECONDS))
    return step, min(window, max(1, round(shape.seconds * shape.rate)))


def _read_samples(path: Path, shape: AudioShape) -> Floats | None:
    """Return the middle of a sound at the rate and of the length of ``shape``, float32 (samples,), or None."""
    try:
        with wave.open(str(path), "rb") as sound:
            channels, width, rate = sound.getnchannels(), sound.getsampwidth(), sound.getframerate()
            wanted = min(sound.getnframes(), int(2 * shape.seconds * rate) + 1, MAX_FILE_BYTES // (channels * width))
            sound.setpos(max(0, (sound.getnframes() - wanted) // 2))
            samples = _decoded(sound.readframes(wanted), width).reshape(-1, channels).mean(axis=1)
    except BROKEN:
        return None
    if not len(samples) or rate < 1:
        return None
    return _fitted(_resampled(samples, rate, shape.rate), round(shape.seconds * shape.rate))


def _decoded(content: bytes, width: int) -> NDArray[np.float64]:
    if width == 1:
        return (np.frombuffer(content, np.uint8).astype(np.float64) - 128) / FULL_SCALE[1]
    if width == 3:
        parts = np.frombuffer(content[: len(content) // 3 * 3], np.uint8).reshape(-1, 3).astype(np.int32)
        return ((parts[:, 0] | parts[:, 1] << 8 | parts[:, 2] << 16) << 8 >> 8) / FULL_SCALE[3]
    return np.frombuffer(content, f"<i{width}").astype(np.float64) / FULL_SCALE[width]


def _resampled(samples: NDArray[np.float64], rate: int, wanted: int) -> NDArray[np.float64]:
    """Return the samples at another rate: the spectrum is cut or filled up, so that nothing is mirrored."""
    count = max(1, round(len(samples) * wanted / rate))
    if count == len(samples):
        return samples
    return np.fft.irfft(np.fft.rfft(samples), count) * (count / len(samples)) if len(samples) > 1 else samples


def _fitted(samples: NDArray[np.float64], count: int) -> Floats:
    """Return the middle ``count`` samples, with silence on both sides of a sound that is shorter."""
    start = max(0, (len(samples) - count) // 2)
    middle = samples[start : start + count]
    before = (count - len(middle)) // 2
    return np.pad(middle, (before, count - len(middle) - before)).astype(np.float32)


def _spectrogram(samples: Floats, frame: tuple[int, int], filters: Floats) -> Floats:
    """Return the logarithm of the power by band and frame, float32 (bands, frames)."""
    step, window = frame
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::step]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(window).astype(np.float32), axis=1)))
    spectrogram: Floats = np.log10(power @ filters.T + QUIET).astype(np.float32).T
    return spectrogram


def _mel_filters(shape: AudioShape, window: int) -> Floats:
    """Return overlapping triangles over the frequencies of a frame, float32 (bands, window // 2 + 1)."""
    frequencies = np.linspace(0, shape.rate / 2, window // 2 + 1)
    edges = np.linspace(_mel(LOWEST_HERTZ), _mel(shape.rate / 2), shape.bands + 2)
    centres = 700 * (10 ** (edges / 2595) - 1)
    rising = (frequencies - centres[:-2, np.newaxis]) / np.diff(centres)[:-1, np.newaxis]
    falling = (centres[2:, np.newaxis] - frequencies) / np.diff(centres)[1:, np.newaxis]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
