import pytest

from roadmark.inference import fastest_precision
from roadmark.manifest import ONE_STAGE, TWO_STAGE


def _cpuinfo(*flags):
    return f"processor\t: 0\nflags\t\t: fpu avx2 {' '.join(flags)}\nbugs\t\t: amx_bf16\n"


@pytest.mark.parametrize(
    ("architecture", "cpuinfo", "is_offered", "precision", "why"),
    [
        (ONE_STAGE, _cpuinfo("avx512_bf16"), True, "bf16", "has avx512_bf16; --precision=fp32"),
        (ONE_STAGE, _cpuinfo("avx512_bf16", "amx_bf16"), True, "bf16", "has amx_bf16; "),
        (ONE_STAGE, _cpuinfo("avx512f"), True, "fp32", "has neither amx_bf16 nor avx512_bf16"),
        (ONE_STAGE, _cpuinfo("avx512_bf16_of_tomorrow"), True, "fp32", "has neither"),
        (ONE_STAGE, _cpuinfo("avx512_bf16"), False, "fp32", "openvino does not use this processor"),
        (ONE_STAGE, "", True, "fp32", "has neither amx_bf16 nor avx512_bf16"),
        (ONE_STAGE, "Features\t: asimd bf16\n", True, "fp32", "has neither"),
        (TWO_STAGE, _cpuinfo("amx_bf16"), True, "fp32", "would move a two-stage model's boxes"),
    ],
    ids=[
        "computed natively",
        "the faster of two is named",
        "emulated alone",
        "another flag that begins so",
        "not offered",
        "no /proc/cpuinfo",
        "another kind of processor",
        "corners within the network",
    ],
)
def test_bf16_only_where_it_is_faster_and_harmless(
    architecture, cpuinfo, is_offered, precision, why
):
    found, said = fastest_precision.choose(architecture, cpuinfo, is_offered)
    assert found == precision
    assert said.startswith(f"{precision} because ")
    assert why in said
    assert "\n" not in said


@pytest.mark.parametrize("text", ["flags: avx512_bf16\n", None], ids=["Linux", "another system"])
def test_a_system_without_cpuinfo_has_none(tmp_path, monkeypatch, text):
    file = tmp_path / "cpuinfo"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(fastest_precision, "_CPUINFO", file)
    assert fastest_precision.cpuinfo() == (text or "")
