"""Crash tracker: which photo is blamed for a worker's death, and which is not."""

from __future__ import annotations

import pytest

from restore.errors import ErrorCode
from restore.pipeline.crash_tracker import Answer, CrashTracker, Worker

LIMIT = 60.0
A, B, C, D = (Worker(name, "node 1") for name in "abcd")
FAR = Worker("f", "node 2")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tracker(clock: Clock) -> CrashTracker:
    return CrashTracker(LIMIT, clock)


def codes(answer: Answer) -> dict[str, ErrorCode]:
    return {item: error.code for item, error in answer.ended.items()}


def test_photos_without_a_death_begin_together(tracker: CrashTracker) -> None:
    assert tracker.begin("prepare", A, ["1", "2"]) == Answer(together=("1", "2"))


def test_after_a_death_each_photo_runs_alone_and_the_one_that_kills_again_is_ended(
    tracker: CrashTracker,
) -> None:
    tracker.begin("paint", A, ["1", "2", "3"])
    assert tracker.begin("paint", B, ["1", "2", "3"]) == Answer(alone=("1", "2", "3"))
    assert tracker.begin("paint", B, ["1"]).together == ("1",)
    tracker.end("paint", B, ["1"])
    assert tracker.begin("paint", B, ["2"]).together == ("2",)
    answer = tracker.begin("paint", C, ["1", "2", "3"])
    assert codes(answer) == {"2": ErrorCode.WORKER_CRASHED}
    assert "paint killed its worker 2 times" in answer.ended["2"].message
    assert answer.alone == () and answer.together == ("1", "3"), "its deaths are not theirs"


def test_two_deaths_alone_end_a_photo_and_one_does_not(tracker: CrashTracker) -> None:
    tracker.begin("finish", A, ["1"])
    assert tracker.begin("finish", B, ["1"]).together == ("1",)
    assert codes(tracker.begin("finish", C, ["1"])) == {"1": ErrorCode.WORKER_CRASHED}
    assert codes(tracker.begin("finish", D, ["1"])) == {"1": ErrorCode.WORKER_CRASHED}, "it stays ended"


def test_two_that_kill_in_one_block_are_both_found(tracker: CrashTracker) -> None:
    tracker.begin("prepare", A, ["1", "2"])
    tracker.begin("prepare", B, ["1", "2"])
    tracker.begin("prepare", B, ["1"])
    assert tracker.begin("prepare", C, ["1", "2"]).together == ("2",), "alone by itself"
    assert tracker.begin("prepare", D, ["1", "2"]).together == ("2",), "once is not enough"
    assert codes(tracker.begin("prepare", A, ["1", "2"])) == dict.fromkeys("12", ErrorCode.WORKER_CRASHED)


def test_a_photo_that_ended_is_not_blamed_for_a_later_death(tracker: CrashTracker) -> None:
    tracker.begin("prepare", A, ["1"])
    tracker.end("prepare", A, ["1"])
    tracker.begin("prepare", A, ["2"])
    assert tracker.begin("prepare", B, ["1"]).together == ("1",)
    tracker.end("prepare", B, ["1"])
    assert tracker.begin("prepare", C, ["1", "2"]) == Answer(together=("1",), alone=("2",))


def test_the_end_of_one_worker_is_not_that_of_another(tracker: CrashTracker) -> None:
    tracker.begin("prepare", A, ["1"])
    tracker.begin("prepare", B, ["1"])
    tracker.end("prepare", A, ["1"])  # came late
    assert codes(tracker.begin("prepare", C, ["1"])) == {"1": ErrorCode.WORKER_CRASHED}


def test_a_step_that_its_own_worker_begins_again_blames_nobody(tracker: CrashTracker) -> None:
    for _ in range(5):
        assert tracker.begin("prepare", A, ["1", "2"]) == Answer(together=("1", "2"))


def test_deaths_of_one_step_do_not_count_in_another(tracker: CrashTracker) -> None:
    tracker.begin("prepare", A, ["1"])
    tracker.begin("prepare", B, ["1"])
    tracker.end("prepare", B, ["1"])
    tracker.begin("paint", A, ["1"])
    assert tracker.begin("paint", B, ["1"]).together == ("1",)
    tracker.end("paint", B, ["1"])
    assert tracker.begin("finish", A, ["1"]).together == ("1",)


def test_a_step_that_succeeds_forgets_earlier_deaths(tracker: CrashTracker) -> None:
    tracker.begin("prepare", A, ["1"])
    tracker.begin("prepare", B, ["1"])
    tracker.end("prepare", B, ["1"])
    tracker.begin("prepare", B, ["1"])  # its block was lost: made again
    assert tracker.begin("prepare", C, ["1"]).together == ("1",)


@pytest.mark.parametrize(
    ("seconds", "code"), [(LIMIT - 1, ErrorCode.WORKER_CRASHED), (LIMIT, ErrorCode.TIMED_OUT)]
)
def test_a_death_at_the_time_limit_is_a_time_out(
    tracker: CrashTracker, clock: Clock, seconds: float, code: ErrorCode
) -> None:
    tracker.begin("paint", A, ["1", "2"])
    tracker.begin("paint", B, ["1", "2"])
    tracker.begin("paint", B, ["1"])
    clock.now += seconds
    answer = tracker.begin("paint", C, ["1", "2"])
    assert codes(answer) == {"1": code}
    assert ("photo_timeout=60" in answer.ended["1"].message) == (code == ErrorCode.TIMED_OUT)


def test_a_death_on_another_node_is_asked_about_before_anything_begins(tracker: CrashTracker) -> None:
    tracker.begin("paint", FAR, ["1", "2"])
    for _ in range(2):
        assert tracker.begin("paint", A, ["1", "2"]) == Answer(unsure=frozenset({"node 2"}))


def test_a_lost_node_is_nobodys_fault(tracker: CrashTracker) -> None:
    for number in range(5):  # preempted again and again, its photos alone in work
        tracker.begin("paint", Worker(str(number), f"spot {number}"), ["1"], lost=[f"spot {number - 1}"])
    assert tracker.begin("paint", A, ["1", "2"], lost=["spot 4"]) == Answer(together=("1", "2"))


def test_a_death_on_a_node_that_lives_counts(tracker: CrashTracker) -> None:
    tracker.begin("paint", FAR, ["1", "2"])
    assert tracker.begin("paint", A, ["1", "2"], lost=[]) == Answer(alone=("1", "2"))


def test_the_tracker_does_not_grow_with_the_archive(tracker: CrashTracker) -> None:
    for number in range(50):
        item = str(number)
        tracker.begin("prepare", A, [item])
        tracker.end("prepare", A, [item])
    assert not (tracker._begun or tracker._deaths or tracker._ended)


def test_the_cause_of_a_death_is_judged_when_its_photos_arrive_elsewhere(
    tracker: CrashTracker, clock: Clock
) -> None:
    tracker.begin("paint", A, ["1"])
    assert not tracker.arrive("paint", A, ["1"]), "it lives"
    assert not tracker.arrive("paint", B, ["1", "2"])
    clock.now += 2 * LIMIT  # they wait for their turn behind a photo that hangs
    assert tracker.begin("paint", B, ["1"]).together == ("1",)
    clock.now += 1
    assert not tracker.arrive("paint", C, ["1", "2"])
    clock.now += 2 * LIMIT
    assert codes(tracker.begin("paint", C, ["1", "2"])) == {"1": ErrorCode.WORKER_CRASHED}, "not timed_out"


def test_photos_that_wait_for_their_turn_are_not_begun(tracker: CrashTracker) -> None:
    for worker in (A, B, C, D):
        assert not tracker.arrive("paint", worker, ["1"])
    assert tracker.begin("paint", A, ["1"]).together == ("1",)


def test_an_arrival_asks_about_lost_nodes_as_a_beginning_does(tracker: CrashTracker) -> None:
    tracker.begin("paint", FAR, ["1"])
    assert tracker.arrive("paint", A, ["1"]) == {"node 2"}
    assert not tracker.arrive("paint", A, ["1"], lost=["node 2"])
    assert tracker.begin("paint", A, ["1"]) == Answer(together=("1",))


@pytest.mark.parametrize(("died_after", "code"), [(1.0, "worker_crashed"), (LIMIT, "timed_out")])
def test_an_actors_new_start_shows_what_the_former_worker_died_of(
    tracker: CrashTracker, clock: Clock, died_after: float, code: str
) -> None:
    """Ray sends the new worker other blocks first: the photo itself comes back long after the death."""
    tracker.start("actor", A)
    tracker.begin("paint", A, ["1"])
    tracker.start("actor", B)
    tracker.begin("paint", B, ["1"])
    clock.now += died_after
    tracker.start("actor", C)
    clock.now += 10 * LIMIT
    assert codes(tracker.begin("paint", C, ["1"])) == {"1": code}


def test_the_start_of_another_actor_says_nothing(tracker: CrashTracker, clock: Clock) -> None:
    tracker.start("actor", A)
    tracker.begin("paint", A, ["1"])
    tracker.start("another", B)
    tracker.begin("paint", B, ["1"])
    clock.now += LIMIT
    assert codes(tracker.begin("paint", C, ["1"])) == {"1": ErrorCode.TIMED_OUT}
