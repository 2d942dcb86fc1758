"""What an import writes to stderr: only start-up lines of TensorFlow are left out."""

import os

from roadmark import tensorflow_logs


def test_what_others_write_to_stderr_during_start_up_is_kept(capfd, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    with tensorflow_logs.errors_only():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() are written\n")
        os.write(2, b"I0000 00:00:1.5 1 port.cc:153] oneDNN custom operations are on.\n")
        os.write(2, b"libcuda.so.1: wrong ELF class\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "libcuda.so.1: wrong ELF class\nafterwards\n"
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "2"


def test_the_users_level_stays(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with tensorflow_logs.errors_only():
        pass
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
