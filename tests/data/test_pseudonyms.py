import hashlib
import hmac
import stat
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from synth.data.pseudonyms import Pseudonyms, load_key, user_key_file
from synth.errors import SynthError


class Notes:
    def __init__(self):
        self.lines = []

    def stage(self, text):
        pass

    def update(self, done, total, text=""):
        pass

    def note(self, text):
        self.lines.append(text)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home without a key, and no key named in the environment."""
    monkeypatch.delenv("SYNTH_KEY_FILE")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_pseudonym_is_an_hmac_of_kind_and_identifier():
    key = bytes(range(32))
    expected = hmac.new(key, b"patient:MRN-1", hashlib.sha256).hexdigest()[:16]
    assert Pseudonyms(key).name("patient", "MRN-1") == expected
    assert Pseudonyms(key).name("study", "MRN-1") != expected
    assert Pseudonyms(b"x" * 32).name("patient", "MRN-1") != expected
    assert "x" * 8 not in repr(Pseudonyms(b"x" * 32))


def test_the_demo_secret_gives_the_key_that_its_figures_were_made_with():
    assert load_key("0:", None) == hashlib.sha256(b"pseudonym:0:").digest()


def test_the_order_is_secret_then_file_then_environment(tmp_path, monkeypatch):
    named, environment = tmp_path / "named.key", tmp_path / "environment.key"
    named.write_bytes(b"n" * 32)
    environment.write_bytes(b"e" * 32)
    monkeypatch.setenv("SYNTH_KEY_FILE", str(environment))
    assert load_key("words", named) == load_key("words", None)
    assert load_key("", named) == b"n" * 32
    assert load_key("", None) == b"e" * 32


def test_the_users_own_key_is_made_once(home):
    notes = Notes()
    first = load_key("", None, notes)
    path = home / ".local/share/synth/pseudonym.key"
    assert path == user_key_file()
    assert path.read_bytes() == first
    assert len(first) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key("", None, notes) == first
    assert [path.name for path in path.parent.iterdir()] == ["pseudonym.key"]
    assert [str(path) in line for line in notes.lines] == [True, True]
    assert "made by this run" in notes.lines[0]
    assert "earlier run" in notes.lines[1]


def test_two_users_have_two_keys(home, tmp_path, monkeypatch):
    first = load_key("", None)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    assert load_key("", None) != first
    assert (tmp_path / "elsewhere/synth/pseudonym.key").is_file()
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert load_key("", None) == first


def _key(_: int) -> bytes:
    return load_key("", None)


def test_runs_at_the_same_time_agree(home):
    with ProcessPoolExecutor(4) as pool:
        assert len(set(pool.map(_key, range(16)))) == 1


def test_a_home_that_cannot_be_written_names_the_other_ways(home):
    home.write_text("a file where the home should be")
    with pytest.raises(SynthError, match=r"--secret or --key-file"):
        load_key("", None)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"short", "5 bytes"), (b"", "0 bytes"), (b"x" * 5000, "more than 4096"), (None, "No such")],
)
def test_bad_key_files(tmp_path, content, problem):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SynthError, match=problem) as caught:
        load_key("", path)
    assert str(path) in str(caught.value)
    with pytest.raises(SynthError, match="Is a directory"):
        load_key("", tmp_path)


def test_a_key_inside_the_dataset_is_refused(tmp_path):
    path = tmp_path / "dataset" / "deep" / "my.key"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"k" * 32)
    with pytest.raises(SynthError, match="inside the dataset"):
        load_key("", path, dataset=tmp_path / "dataset")
    assert load_key("", path, dataset=tmp_path / "other") == b"k" * 32


def test_a_key_that_everyone_can_read_is_remarked_on(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"k" * 32)
    path.chmod(0o644)
    notes = Notes()
    load_key("", path, notes)
    assert "chmod 600" in notes.lines[0]
    path.chmod(0o600)
    load_key("", path, notes)
    assert len(notes.lines) == 1
