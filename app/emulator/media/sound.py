"""Sound as numbers, 16-bit mono at 8 kHz: make a tone, tell a level and a frequency."""

from __future__ import annotations

import cmath
import functools
import itertools
import math
from array import array
from dataclasses import dataclass
from typing import Any, Final

RATE: Final = 8_000
FULL_SCALE: Final = 32_768
SILENCE: Final = -90.0
WINDOW: Final = 1_024
STEP: Final = RATE // 4
LOWEST: Final = 60 * WINDOW // RATE  # the bin below which there is hum, not voice
HANN: Final = tuple(0.5 - 0.5 * math.cos(2 * math.pi * i / WINDOW) for i in range(WINDOW))


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard: seconds of sound, level in dB of full scale, dominant frequency in Hz.

    `level` and `frequency` are of the last quarter of a second, the loudest ones of the loudest.
    """

    seconds: float = 0.0
    level: float = SILENCE
    frequency: float = 0.0
    loudest_level: float = SILENCE
    loudest_frequency: float = 0.0

    def view(self) -> dict[str, Any]:
        """Build the JSON of results and events."""
        return {
            "seconds": round(self.seconds, 2),
            "level": round(self.level, 1),
            "frequency": round(self.frequency, 1),
            "loudestLevel": round(self.loudest_level, 1),
            "loudestFrequency": round(self.loudest_frequency, 1),
        }


class ToneDetector:
    """Takes sound as it comes and measures it four times a second."""

    def __init__(self) -> None:
        self._samples = array("h")
        self._count = 0
        self.heard = Heard()

    def take(self, pcm: bytes) -> None:
        """Hear some more: 16-bit mono at 8 kHz, in this machine's byte order."""
        self._samples.frombytes(pcm)
        self._count += len(pcm) // 2
        while len(self._samples) >= STEP:
            piece, self._samples = self._samples[:STEP], self._samples[STEP:]
            self._measure(piece)

    def _measure(self, piece: array[int]) -> None:
        now, before = level(piece), self.heard
        frequency = dominant_frequency(piece)
        louder = now > before.loudest_level
        self.heard = Heard(
            self._count / RATE,
            now,
            frequency,
            now if louder else before.loudest_level,
            frequency if louder else before.loudest_frequency,
        )


class Tone:
    """A steady sine, cut into pieces without a click between them."""

    def __init__(self, frequency: float, amplitude: float = 0.3) -> None:
        self._step = 2 * math.pi * frequency / RATE
        self._peak = amplitude * (FULL_SCALE - 1)
        self._time = itertools.count()

    def take(self, samples: int) -> bytes:
        """Play on for that many samples."""
        times = itertools.islice(self._time, samples)
        return array("h", [int(self._peak * math.sin(self._step * t)) for t in times]).tobytes()


def level(samples: array[int]) -> float:
    """Root mean square in decibels of full scale, `SILENCE` at the least."""
    power = sum(sample * sample for sample in samples) / max(len(samples), 1)
    if power < 1:
        return SILENCE
    return max(10 * math.log10(power / FULL_SCALE**2), SILENCE)


def dominant_frequency(samples: array[int]) -> float:
    """Find the strongest frequency, to within a hertz or two for a tone; 0.0 for silence.

    It looks at the louder end of the samples, so that a short beep is not missed.
    """
    louder = max(samples[:WINDOW], samples[-WINDOW:], key=level)
    window = [sample * weight for sample, weight in zip(louder, HANN, strict=False)]
    window += [0.0] * (WINDOW - len(window))
    powers = [abs(value) for value in _fft([complex(w) for w in window])[: WINDOW // 2]]
    peak = max(range(LOWEST, len(powers) - 1), key=powers.__getitem__)
    if powers[peak] < 1:
        return 0.0
    left, middle, right = (math.log(max(powers[peak + i], 1e-9)) for i in (-1, 0, 1))
    bend = left - 2 * middle + right
    offset = 0.5 * (left - right) / bend if bend else 0.0
    return (peak + offset) * RATE / WINDOW


def _fft(values: list[complex]) -> list[complex]:
    """Cooley and Tukey's, for powers of two: 1,024 values need no library."""
    if len(values) == 2:  # noqa: PLR2004 - a power of two, and the last one
        return [values[0] + values[1], values[0] - values[1]]
    even, odd = _fft(values[::2]), _fft(values[1::2])
    half = len(values) // 2
    turned = [turn * value for turn, value in zip(_turns(half), odd, strict=True)]
    sums = [a + b for a, b in zip(even, turned, strict=True)]
    return sums + [a - b for a, b in zip(even, turned, strict=True)]


@functools.cache
def _turns(half: int) -> tuple[complex, ...]:
    return tuple(cmath.exp(-1j * math.pi * i / half) for i in range(half))
