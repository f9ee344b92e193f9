"""Every CUDA source compiles for every generation of GPUs, and no kernel spills registers."""

import nvrtc
import pytest

if nvrtc.library() is None:
    pytest.skip(nvrtc.MISSING, allow_module_level=True)


@pytest.fixture
def check(record_property):
    """check(file, architecture, variants): no kernel spills registers. Their largest number is in the run's summary."""
    def compiled(file, architecture, variants):
        every = {(name, *defines): used for defines in variants
                 for name, used in nvrtc.compiled(file, architecture, defines).items()}
        assert every
        record_property("registers", (file, architecture, max(used.registers for used in every.values())))
        assert {name: used for name, used in every.items() if used.spilled} == {}
    return compiled


@pytest.mark.parametrize("file", nvrtc.sources())
def test_sources_compile_without_spills(check, file):
    """In one variant, for one generation."""
    check(file, "sm_90", nvrtc.variants(file, "sm_90")[:1])


@pytest.mark.slow
@pytest.mark.parametrize("file", nvrtc.sources())
@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_every_dtype_compiles_without_spills(check, file, architecture):
    """Of products, one tile of each kind."""
    check(file, architecture, nvrtc.variants(file, architecture, every=False))


@pytest.mark.slow
@pytest.mark.parametrize("file", [file for file in nvrtc.sources() if "product.cuh" in nvrtc.source(file)])
def test_every_tile_compiles_without_spills(check, file):
    check(file, "sm_90", nvrtc.variants(file, "sm_90"))


def test_an_error_in_a_source_is_reported(monkeypatch):
    monkeypatch.setattr(nvrtc, "source", lambda file: "no C")
    with pytest.raises(RuntimeError, match=r"add.cu for sm_90 with \(\): .*error"):
        nvrtc.compiled("add.cu", "sm_90")
