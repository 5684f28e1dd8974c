/* Shared by every stage: error numbers, CPU dispatch, alignment of loops. */
#ifndef JP_H
#define JP_H

#include <stdint.h>

/* Error numbers are append-only: embedders switch on them. */
enum {
    JP_OK = 0,
    JP_ERR_SIZE = -1,      /* a size or an offset is out of range */
    JP_ERR_VALUE = -2      /* a code or a number is outside its domain */
};

/* One source, three instruction sets, chosen when the library is loaded (glibc ifunc); one where the
   compiler or the C library knows no such choice: GCC before 12, Clang, musl, macOS, Windows.
   The sanitizers' start-up runs before ifuncs resolve, so instrumented builds take one clone. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && __GNUC__ >= 12 \
    && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(JP_NO_CLONES)
#define JP_HAS_CLONES 1
#else
#define JP_HAS_CLONES 0
#endif

#if JP_HAS_CLONES
#define JP_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define JP_CLONES
#endif

/* Helpers called from a clone must be inlined into it, or they run as baseline code. */
#define JP_INLINE static inline __attribute__((always_inline))

#endif
