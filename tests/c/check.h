/* The whole test framework: a failed check prints its line and the program ends with 1. */
#ifndef JP_TEST_CHECK_H
#define JP_TEST_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            fprintf(stderr, "%s:%d: %s: failed: %s\n", __FILE__, __LINE__, __func__,        \
                    #condition);                                                            \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

#define CHECK_CLOSE(got, want, tolerance)                                                   \
    do {                                                                                    \
        const double got_ = (got), want_ = (want);                                          \
        if (!(fabs(got_ - want_) <= (tolerance) * (1.0 + fabs(want_)))) {                   \
            fprintf(stderr, "%s:%d: %s: %s = %.17g, not %.17g\n", __FILE__, __LINE__,       \
                    __func__, #got, got_, want_);                                           \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

/* Exactly n bytes on the heap, so that the address sanitizer sees one read too many;
   n = 0 gives a pointer that may not be read at all. */
static inline void *allocate(size_t n_bytes) {
    void *memory = malloc(n_bytes);
    CHECK(memory != NULL || n_bytes == 0);
    return memory;
}

#endif
