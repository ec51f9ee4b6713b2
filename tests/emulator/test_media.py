"""Sound and digits as numbers."""

from __future__ import annotations

from array import array

import pytest

from app.emulator.media.dtmf import DigitFilter
from app.emulator.media.sdp import prepared
from app.emulator.media.sound import RATE, SILENCE, Tone, ToneDetector, dominant_frequency, level


@pytest.mark.parametrize("frequency", [120.0, 440.0, 697.0, 1000.0, 2500.5, 3300.0])
def test_a_tones_frequency_is_found(frequency: float) -> None:
    samples = array("h", Tone(frequency).take(RATE // 4))
    assert abs(dominant_frequency(samples) - frequency) < 2


def test_a_tone_has_no_click_between_its_pieces() -> None:
    pieces, whole = Tone(440.0), Tone(440.0)
    assert b"".join(pieces.take(160) for _ in range(10)) == whole.take(1600)


@pytest.mark.parametrize(("amplitude", "expected"), [(1.0, -3.01), (0.1, -23.01), (0.01, -43.0)])
def test_a_sines_level_is_three_decibels_below_its_peak(amplitude: float, expected: float) -> None:
    assert level(array("h", Tone(500.0, amplitude).take(RATE))) == pytest.approx(expected, abs=0.2)


def test_silence_has_the_least_level_and_no_frequency() -> None:
    ear = ToneDetector()
    ear.take(bytes(RATE))
    assert (ear.heard.level, ear.heard.frequency) == (SILENCE, 0.0)
    assert ear.heard.seconds == pytest.approx(0.5)


def test_the_ear_remembers_the_loudest() -> None:
    ear = ToneDetector()
    for tone in (Tone(300.0, 0.1), Tone(900.0, 0.5), Tone(600.0, 0.01)):
        ear.take(tone.take(RATE // 2))
    heard = ear.heard
    assert abs(heard.frequency - 600) < 2
    assert abs(heard.loudest_frequency - 900) < 2
    assert heard.loudest_level > heard.level
    assert heard.view()["seconds"] == 1.5


@pytest.mark.parametrize("before", [0, RATE // 8])
def test_a_short_beep_is_not_missed(before: int) -> None:
    beep = Tone(800.0).take(RATE // 10)
    ear = ToneDetector()
    ear.take(bytes(2 * before) + beep + bytes(RATE // 2))
    assert abs(ear.heard.loudest_frequency - 800) < 2


def test_few_samples_are_measured_too() -> None:
    assert level(array("h")) == SILENCE
    assert dominant_frequency(array("h", [0] * 10)) == 0.0


def test_one_press_is_one_digit_and_sound_stays_gapless() -> None:
    digits: list[str] = []
    keys = DigitFilter(digits.append)
    numbers = [keys.number(65_534)]
    for stamp, event in ((100, 1), (200, 1), (300, 11), (400, 99)):
        for _ in range(4):
            keys.take(stamp, bytes([event, 0x8A, 0, 160]))
    keys.take(500, b"\x01")
    numbers.append(keys.number((65_534 + 1 + 17) & 0xFFFF))
    assert digits == ["1", "1", "#"]
    assert numbers == [65_534, 65_535]


def test_a_packet_of_a_press_that_comes_late_is_no_new_press() -> None:
    digits: list[str] = []
    keys = DigitFilter(digits.append)
    for stamp in (100, 200, 200):
        keys.take(stamp, bytes([5, 0x8A, 0, 160]))
    assert digits == ["5", "5"]


def test_no_settings_leave_the_sdp_alone() -> None:
    assert prepared("v=0\r\nm=audio 9 RTP/AVP 0\r\n", "", "unheard-of") == (
        "v=0\r\nm=audio 9 RTP/AVP 0\r\n"
    )
