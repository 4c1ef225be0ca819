"""A local Ray cluster of two workers, one of which is killed."""

import json
import os
import secrets
import signal
import warnings

import pytest

from sample.engines import generate_with_workers
from sample.run import generate_dataset
from synth.progress import Silent

pytest.importorskip("ray", reason="needs the extra `ray`")


class KillOne(Silent):
    """Kills the worker that holds a shard once another shard is finished."""

    def __init__(self, out):
        self.out, self.notes, self.victim = out, [], 0

    def note(self, text):
        self.notes.append(text)

    def update(self, done, total, text=""):
        claims = sorted((self.out / ".shards").glob("*.claim"))
        for claim in claims if done and not self.victim else ():
            held = json.loads(claim.read_text() or "{}")
            if "pid" in held and held["pid"] != os.getpid():
                self.victim = held["pid"]
                os.kill(self.victim, signal.SIGKILL)
                return


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_with_one_of_two_workers_killed(config, tiny_pipeline, tmp_path, monkeypatch):
    token = tmp_path / "token"
    token.write_text(secrets.token_hex(32))
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    settings = {"weights": str(tiny_pipeline), "batch": 2, "shard": 4, "steps": 2, "device": "cpu"}
    sample = config.sample.model_copy(update={**settings, "count": 40, "workers": 2})

    def to(name, **more):
        update = {"out": tmp_path / name / "set", **more}
        return config.model_copy(update={"sample": sample.model_copy(update=update)})

    handler = signal.getsignal(signal.SIGTERM)
    alone = generate_dataset(to("alone", workers=1)).out
    shared = to("shared", engine="ray")
    progress = KillOne(shared.sample.out)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sample.engines_ray import RayEngine

        summary = generate_with_workers(shared, RayEngine(shared), progress)
    assert signal.getsignal(signal.SIGTERM) is handler  # of the command line: it saves and ends
    assert progress.victim
    assert any("died" in note for note in progress.notes)
    for path in (path for path in alone.rglob("*") if path.is_file() and path.name != ".lock"):
        assert (summary.out / path.relative_to(alone)).read_bytes() == path.read_bytes()
