"""The compiled stages; everything else is in pyproject.toml."""

import shutil
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# glue module -> the C files it calls
STAGES = {
    "_machine": ["machine"],
    "_encode": ["encode"],
    "_partition": ["partition"],
    "_density": ["density", "density_em"],
    "_joint": ["joint", "joint_adapt", "joint_check", "joint_draw", "joint_em", "joint_expect"],
    "_query": ["query"],
    "_score": ["score"],
    "_forest": [
        "forest",
        "forest_bins",
        "forest_boost",
        "forest_both",
        "forest_check",
        "forest_count",
        "forest_descend",
        "forest_gains",
        "forest_slopes",
        "forest_small",
        "forest_spread",
        "forest_steps",
    ],
    "_augment": [
        "augment",
        "augment_axes",
        "augment_blur",
        "augment_colour",
        "augment_matrix",
        "augment_mean",
        "augment_mix",
        "augment_move",
        "augment_noise",
        "augment_point",
        "augment_resize",
        "augment_shot",
        "augment_warp",
    ],
}
# Not -ffast-math, which breaks NaN; not -march=native, as kernels dispatch by CPU.
FLAGS = ["-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd"]
# Pixels are the same on every CPU: a * b + c is rounded twice, with and without FMA.
OWN_FLAGS = {"_augment": ["-ffp-contract=off"]}
# Free-threaded Python has no stable ABI yet.
STABLE_ABI = not sysconfig.get_config_var("Py_GIL_DISABLED")


def extension(glue, stages):
    """One stage: its Cython glue and the C it calls."""
    return Extension(
        f"jointprob.{glue}",
        [f"src/jointprob/{glue}.pyx", *(f"csrc/{stage}.c" for stage in stages)],
        include_dirs=["csrc"],
        depends=[str(header) for header in sorted(Path("csrc").glob("*.h"))],
        define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE_ABI else [],
        py_limited_api=STABLE_ABI,
        extra_compile_args=FLAGS + OWN_FLAGS.get(glue, []),
        # macOS strips in its own way, and its wheels are small as they are.
        extra_link_args=["-Wl,--strip-all"] if sys.platform.startswith("linux") else [],
    )


class BuildByCompiler(build_ext):
    """GCC, Clang and MinGW as they are; in place of Microsoft's compiler Clang, its twin.

    The kernels are written with vector types and `restrict`, which that compiler does not know;
    clang-cl does, takes its options and makes objects for its linker.
    """

    def build_extensions(self):
        if self.compiler.compiler_type == "msvc":
            self._use_clang()
        else:
            for one in self.extensions:
                one.extra_compile_args.append("-g0")
            self._keep_glue_small()
        super().build_extensions()

    def _keep_glue_small(self):
        """Kernels for speed, glue for size: it is half of what the compiler reads."""
        compile_one = self.compiler._compile

        def by_source(obj, src, ext, cc_args, extra_postargs, pp_opts):
            glue = Path(src).parent.name == "jointprob"
            flags = [*extra_postargs, "-Os"] if glue else extra_postargs
            compile_one(obj, src, ext, cc_args, flags, pp_opts)

        self.compiler._compile = by_source

    def _use_clang(self):
        self.compiler.initialize()
        self.compiler.cc = shutil.which("clang-cl")
        if self.compiler.cc is None:
            raise SystemExit("building on Windows needs clang-cl (LLVM), or --compiler=mingw32")
        for one in self.extensions:
            flags = [f"/clang:{flag}" for flag in one.extra_compile_args]
            one.extra_compile_args = [*flags, "-Wno-unused-command-line-argument"]


setup(
    # Without build_dir the generated C lands beside the .pyx and the sdist takes it instead.
    ext_modules=cythonize(
        [extension(glue, stages) for glue, stages in STAGES.items()], build_dir="build"
    ),
    cmdclass={"build_ext": BuildByCompiler},
    options={
        "build_ext": {"parallel": True},
        "bdist_wheel": {"py_limited_api": "cp311"} if STABLE_ABI else {},
    },
)
