import pytest

from roadmark.doctor import machine

_CPUINFO = """\
processor\t: 0
model name\t: Some Processor 9000
flags\t\t: fpu sse2 fma avx avx2 avx512f
processor\t: 1
"""


def test_cpu_names_model_and_instruction_sets():
    cpu = machine.cpu_from(_CPUINFO, cores=2)
    assert (cpu.model, cpu.cores) == ("Some Processor 9000", 2)
    assert [name for name, there in cpu.features.items() if there] == ["avx2", "fma", "avx512f"]


def test_memory_is_in_gigabytes():
    assert machine.memory_from("MemTotal: 16000000 kB\nMemAvailable:  8000000 kB\n") == (16.4, 8.2)


@pytest.mark.parametrize("text", ["", "garbage"], ids=["not Linux", "another form"])
def test_unknown_machines_have_answers(text):
    assert machine.memory_from(text) == (0.0, 0.0)
    assert not any(machine.cpu_from(text, cores=1).features.values())
    assert machine.gpus_from(text) == ()


def test_gpus_are_read_from_nvidia_smi():
    printed = "NVIDIA H200, 143771, 550.54, 9.0\nNVIDIA L4, 23034, 550.54, 8.9\n"
    first, second = machine.gpus_from(printed)
    assert first == machine.Gpu("NVIDIA H200", 150.8, "550.54", "9.0")
    assert second.name == "NVIDIA L4"


def test_a_gpu_that_does_not_tell_its_memory_is_still_listed():
    (gpu,) = machine.gpus_from("NVIDIA GB10, [N/A], 580.95, 12.1\n")
    assert gpu == machine.Gpu("NVIDIA GB10", None, "580.95", "12.1")


def test_this_machine_has_a_processor_and_memory():
    found = machine.look()
    assert found.cpu.cores >= 1
    assert found.memory_gb > found.available_memory_gb > 0
