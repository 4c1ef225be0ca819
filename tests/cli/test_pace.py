import pytest

from synth.cli.pace import WINDOW, Pace, clock


def test_nothing_is_said_before_there_is_a_rate():
    pace = Pace()
    assert pace.words(0, 10, 0.0) == ""
    assert pace.words(5, 10, 1.0) == ""
    assert pace.words(0, 10, 5.0) == ""  # no progress


def test_rate_and_time_left():
    pace = Pace()
    pace.words(0, 1000, 0.0)
    assert pace.words(200, 1000, 10.0) == "20.0/s, 0:40 left"
    assert pace.words(1000, 1000, 50.0) == "20.0/s"


def test_slow_items():
    pace = Pace()
    pace.words(0, 10, 0.0)
    assert pace.words(1, 10, 30.0) == "30.0 s each, 4:30 left"


def test_work_kept_from_an_earlier_run_is_no_speed():
    pace = Pace()
    pace.words(5001, 6000, 100.0)
    assert pace.words(5011, 6000, 110.0) == "1.0/s, 16:29 left"


def test_the_rate_is_that_of_the_last_minute():
    pace = Pace()
    for second in range(600):
        pace.words(100 * second, 10**6, float(second))
    assert len(pace.seen) <= WINDOW + 2
    for second in range(600, 661):
        words = pace.words(60_000 + 2 * (second - 600), 70_000, float(second))
    assert words == "2.0/s, 1:22:20 left"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3725, "1:02:05")])
def test_clock(seconds, text):
    assert clock(seconds) == text
