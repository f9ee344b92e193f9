"""Every CUDA source compiles for every generation of GPUs, and no kernel spills registers."""

import nvrtc
import pytest

if nvrtc.library() is None:
    pytest.skip(nvrtc.MISSING, allow_module_level=True)


def check(file, architecture, variants):
    spilled = {}
    for defines in variants:
        kernels = nvrtc.compiled(file, architecture, defines)
        assert kernels
        spilled |= {(name, *defines): used for name, used in kernels.items() if used.spilled}
    assert spilled == {}


@pytest.mark.parametrize("file", nvrtc.sources())
def test_sources_compile_without_spills(file):
    """In one variant, for one generation."""
    check(file, "sm_90", nvrtc.variants(file, "sm_90")[:1])


@pytest.mark.slow
@pytest.mark.parametrize("file", nvrtc.sources())
@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_every_dtype_compiles_without_spills(file, architecture):
    """Of products, one tile of each kind."""
    check(file, architecture, nvrtc.variants(file, architecture, every=False))


@pytest.mark.slow
@pytest.mark.parametrize("file", [file for file in nvrtc.sources() if "product.cuh" in nvrtc.source(file)])
def test_every_tile_compiles_without_spills(file):
    check(file, "sm_90", nvrtc.variants(file, "sm_90"))


def test_an_error_in_a_source_is_reported(monkeypatch):
    monkeypatch.setattr(nvrtc, "source", lambda file: "no C")
    with pytest.raises(RuntimeError, match=r"add.cu for sm_90 with \(\): .*error"):
        nvrtc.compiled("add.cu", "sm_90")
