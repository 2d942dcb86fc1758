from roadmark import progress


def test_plain_lines_say_rate_and_count(capsys):
    with progress.track("training", 4, "steps", done=1) as meter:
        meter.advance(2, note="loss 0.5")
    line = capsys.readouterr().err.strip()
    assert line.startswith("training: 3/4 steps, ")
    assert " steps/s" in line
    assert line.endswith("loss 0.5")


def test_unknown_total_has_no_eta(capsys):
    with progress.track("frames", None, "frames") as meter:
        meter.advance()
    assert capsys.readouterr().err.startswith("frames: 1 frames, ")
