/* Reproducible small problems: uniforms and integers from one counter. */
#ifndef JP_TEST_DRAW_H
#define JP_TEST_DRAW_H

#include "philox.h"

static int64_t draw_counter = 0;

/* Next uniform in (0, 1). */
static inline double draw_uniform(void) {
    const uint64_t key[2] = {20, 26};
    return jp_uniform_open(jp_draw64(draw_counter++, 0, 0, key).word[0]);
}

static inline double draw_between(double low, double high) {
    return low + (high - low) * draw_uniform();
}

/* Next integer of 0 .. n - 1. */
static inline int64_t draw_below(int64_t n) {
    return (int64_t)(draw_uniform() * (double)n);
}

#endif
