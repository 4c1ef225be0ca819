import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import pytest

from sample.claims import Claims, Holder


@pytest.fixture
def ended():
    """A process that was, on this machine."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = Holder.this_process()
    mine = replace(start, pid=child.pid, started=1)
    child.communicate(b"\n")
    return mine


def put(folder, name, holder):
    (folder / name).write_text(json.dumps(asdict(holder)))


def test_one_of_many_gets_a_shard(tmp_path):
    for shard in range(20):
        barrier, won = threading.Barrier(8), []

        def race(shard=shard, barrier=barrier, won=won):
            claims = Claims(tmp_path)
            barrier.wait()
            won.append(claims.take(shard))

        threads = [threading.Thread(target=race) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(claim is not None for claim in won) == 1


def test_a_claim_names_its_holder(tmp_path):
    claim = Claims(tmp_path).take(3)
    held = json.loads(claim.path.read_text())
    assert held["pid"] == os.getpid()
    assert held["host"]
    assert not Holder(**held).is_gone(Holder.this_process())


def test_a_dead_holder_is_followed_at_once(tmp_path, ended):
    put(tmp_path, "00003.0.claim", ended)
    claim = Claims(tmp_path).take(3)
    assert claim.generation == 1
    assert (tmp_path / "00003.0.claim").is_file()  # nothing is decided by removing


def test_a_process_id_that_another_process_has_now_is_a_dead_holder(tmp_path):
    me = Holder.this_process()
    if me.started is None:
        pytest.skip("the system does not tell when a process started")
    put(tmp_path, "00000.0.claim", replace(me, started=me.started - 1))
    assert Claims(tmp_path).take(0).generation == 1


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"space": "another boot/container"}])
def test_a_holder_elsewhere_lives_as_long_as_its_heart_beats(tmp_path, ended, change, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("sample.claims.time.monotonic", lambda: now[0])
    put(tmp_path, "00000.0.claim", replace(ended, **change))
    claims = Claims(tmp_path, stale=120)
    for now[0] in (0.0, 100.0):
        assert claims.take(0) is None
    os.utime(tmp_path / "00000.0.claim", (10**9, 10**9))  # a clock that is years behind is no death
    for now[0] in (130.0, 249.0):
        assert claims.take(0) is None
    now[0] = 251.0
    assert claims.take(0).generation == 1


def test_a_torn_claim_counts_until_it_is_stale(tmp_path):
    (tmp_path / "00000.0.claim").write_text('{"host": "a')
    claims = Claims(tmp_path, stale=0.0)
    assert claims.take(0) is None
    assert claims.take(0).generation == 1


def test_a_holder_that_was_followed_does_not_hold(tmp_path):
    claims = Claims(tmp_path)
    claim = claims.take(0)
    assert claims.holds(claim)
    (tmp_path / "00000.1.claim").write_text("{}")
    assert not claims.holds(claim)
    before = claim.path.read_bytes()
    claims.release(claim)
    assert claim.path.read_bytes() == before


def test_a_released_shard_is_free(tmp_path):
    claims = Claims(tmp_path)
    claims.release(claims.take(0))
    assert Claims(tmp_path).take(0).generation == 1


def test_the_heart_beats_while_the_block_runs(tmp_path):
    claims = Claims(tmp_path)
    claim = claims.take(0)
    os.utime(claim.path, (1, 1))
    done = threading.Event()
    with claims.beating(claim, every=0.01):
        for _ in range(500):
            if claim.path.stat().st_mtime > 1:
                break
            done.wait(0.01)
    assert claim.path.stat().st_mtime > 1


def test_no_claim_where_the_work_is_done(tmp_path):
    assert Claims(tmp_path / "gone").take(0) is None
