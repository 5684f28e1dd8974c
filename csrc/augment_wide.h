/* Kernels for AVX-512 that stand beside the clones, where vector extensions have no name for an
   instruction (permutes by index, shuffles of bytes) or compile to scalar code. Same results. */
#ifndef JP_AUGMENT_WIDE_H
#define JP_AUGMENT_WIDE_H

#include <stdint.h>

#include "jp.h"

#if defined(__x86_64__) && defined(__GNUC__) && (!defined(JP_NO_CLONES) || defined(__AVX512BW__))
#include <immintrin.h>
#define JP_WIDE __attribute__((target("avx512f,avx512bw,avx512vl")))
static inline int jp_has_wide(void) { return __builtin_cpu_supports("avx512bw"); }
#else
static inline int jp_has_wide(void) { return 0; }
#endif

#endif
