"""`@inner`: a function that kernels call, compiled into them and never run by itself.

Numba compiles such a function like any other: it optimizes it, makes machine code and a Python wrapper for it, and
then optimizes the kernel it is linked into, callees included, once more. With `@inner`, Numba stops at LLVM's
intermediate representation, which is all that linking needs. A kernel of twenty functions then compiles in
about half the time. Such a function cannot be called from Python; use
`numba.extending.register_jitable` for what both sides call.
"""

import functools

import numba
from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering, NativeParforLowering

OPTIONS = {"error_model": "numpy", "nogil": True}


class InnerLibrary(JITCodeLibrary):
    """Code that is linked into a kernel, and is optimized and compiled to machine code only there."""

    def _optimize_functions(self, ll_module):
        """Leave it to the kernel."""

    def _optimize_final_module(self):
        """Leave it to the kernel."""

    def _finalize_final_module(self):
        """Make no machine code."""
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class InnerLowering(NativeLowering):
    """Numba's pass from typed code to LLVM's, into an InnerLibrary."""

    _name = "inner_lowering"

    def run_pass(self, state):
        """Lower the function, and register it under an entry point that nothing calls."""
        state.library = InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state.cr
        described = lowered.fndesc
        entry = _dynfunc.make_function(described.lookup_module(), described.qualname.split(".")[-1], "", 0, lowered.env,
                                       (state.library,))
        state.targetctx.insert_user_function(entry, described, [state.library])
        state.reload_init.extend(state.library._reload_init)
        state["cr"] = lowered._replace(cfunc=entry)
        return True


class InnerCompiler(CompilerBase):
    """Numba's pipeline, with InnerLowering in place of its own lowering."""

    def define_pipelines(self):
        """The one pipeline."""
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [(InnerLowering, text) if each in (NativeLowering, NativeParforLowering) else (each, text)
                           for each, text in pipeline.passes]
        pipeline.finalize()
        return [pipeline]


inner = functools.partial(numba.njit, pipeline_class=InnerCompiler, no_cpython_wrapper=True, no_cfunc_wrapper=True,
                          **OPTIONS)
