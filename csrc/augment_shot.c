/* Shot noise: Poisson counts of photons; tables by level on uint8, transformed rejection elsewhere. */

#include "augment_noise.h"

#include "philox_lanes.h"

#include <math.h>
#include <string.h>

enum { CHUNK_GROUPS = 16, CHUNK_WORDS = CHUNK_GROUPS * JP_GROUP_WORDS, PURPOSE_SHOT = 2 };

void jp_shot_reset(double photons, jp_shot_table *table)
{
    table->photons = photons;
    memset(table->ready, 0, sizeof table->ready);
}

static double log_poisson(double count, double mean) { return count * log(mean) - mean - lgamma(count + 1); }

/* P(level <= k) for all k, from the counts within 12 standard deviations (and 40) of the mean. */
static void cumulate(double mean, double photons, double *below)
{
    const double reach = 12 * sqrt(mean) + 40;
    double count = floor(mean - reach > 0 ? mean - reach : 0), p = exp(log_poisson(count, mean)), sum = 0;
    for (int k = 0; k < 256; k++) {
        for (; count < (k + 0.5) * photons && count <= mean + reach; count += 1) {
            sum += p;
            p *= mean / (count + 1);
        }
        below[k] = k == 255 || count > mean + reach || sum > 1 ? 1 : sum;
    }
}

static void make_row(jp_shot_table *t, int level)
{
    double below[256];
    int k = 0;
    cumulate(level * t->photons, t->photons, below);
    for (int i = 0; i < 256; i++) {
        const double largest = ceil(below[i] * 0x1p32) - 1;
        t->below[level][i] = largest > 0 ? (uint32_t)largest : 0;
    }
    for (int g = 0; g < JP_SHOT_GUIDES; g++) {
        while (below[k] * JP_SHOT_GUIDES <= g) k++;
        t->guide[level][g] = (uint8_t)k;
    }
    t->ready[level] = 1;
}

static uint8_t shot_level(jp_shot_table *t, uint8_t x, uint32_t u)
{
    if (x == 0) return 0;
    if (!t->ready[x]) make_row(t, x);
    int k = t->guide[x][u / (UINT32_MAX / JP_SHOT_GUIDES + 1)];
    while (u > t->below[x][k]) k++;
    return (uint8_t)k;
}

int jp_shot_u8(const uint8_t *x, int64_t first, int64_t n, jp_shot_table *table,
                       const uint32_t *key, uint8_t *out)
{
    uint64_t pairs[CHUNK_WORDS / 2];
    if (first < 0 || n < 0 || first + n > UINT32_MAX) return JP_ERR_SIZE;
    for (int64_t done = 0; done < n;) {
        const int64_t skip = (first + done) % JP_GROUP_WORDS, rest = n - done + skip;
        const int64_t take = rest < CHUNK_WORDS ? rest : CHUNK_WORDS;
        jp_philox_fill(key, PURPOSE_SHOT, (first + done) / JP_GROUP_WORDS,
                       (take + JP_GROUP_WORDS - 1) / JP_GROUP_WORDS, pairs);
        for (int64_t i = skip; i < take; i++, done++)
            out[done] = shot_level(table, x[done], (uint32_t)(pairs[i / 2] >> 32 * (i % 2)));
    }
    return JP_OK;
}

typedef struct { double u, v; } two_uniforms; /* in (0, 1) */

static two_uniforms again(int64_t element, int64_t attempt, const uint32_t *key)
{
    const jp_philox32 r = jp_philox4x32((uint32_t)element, (uint32_t)(PURPOSE_SHOT + attempt), key[2],
                                        key[3], key[0], key[1]);
    return (two_uniforms){jp_uniform_open((uint64_t)r.word[1] << 32 | r.word[0]),
                          jp_uniform_open((uint64_t)r.word[3] << 32 | r.word[2])};
}

static double poisson_by_inversion(double mean, double u)
{
    double p = exp(-mean), sum = p, count = 0;
    while (u > sum && count < 200) {
        count += 1;
        p *= mean / count;
        sum += p;
    }
    return count;
}

/* Transformed rejection, PTRS of Hoermann (1993), doi:10.1016/0167-6687(93)90997-4; mean >= 10. */
static double poisson_by_rejection(double mean, two_uniforms r, int64_t element, const uint32_t *key)
{
    const double b = 0.931 + 2.53 * sqrt(mean), a = -0.059 + 0.02483 * b;
    const double alpha = 1.1239 + 1.1328 / (b - 3.4), sure = 0.9277 - 3.6224 / (b - 2);
    for (int64_t attempt = 1;; r = again(element, attempt++, key)) {
        const double u = r.u - 0.5, us = 0.5 - fabs(u);
        const double count = floor((2 * a / us + b) * u + mean + 0.43);
        if (us >= 0.07 && r.v <= sure) return count;
        if (count < 0 || (us < 0.013 && r.v > us)) continue;
        if (log(r.v * alpha / (a / (us * us) + b)) <= log_poisson(count, mean)) return count;
    }
}

static double poisson(double mean, two_uniforms r, int64_t element, const uint32_t *key)
{
    return mean < 10 ? poisson_by_inversion(mean, r.u) : poisson_by_rejection(mean, r, element, key);
}

/* One counter an element, and two uniforms of it; others only where they are rejected. */
enum { CHUNK_COUNTERS = CHUNK_GROUPS * JP_GROUP_COUNTERS };

static two_uniforms drawn_at(const uint64_t *pairs, int64_t i)
{
    const uint64_t *pair = pairs + i / JP_GROUP_COUNTERS * 16 + i % JP_GROUP_COUNTERS;
    return (two_uniforms){jp_uniform_open(pair[0]), jp_uniform_open(pair[8])};
}

static uint16_t shot_u16(uint16_t x, double photons, two_uniforms r, int64_t element, const uint32_t *key)
{
    const double level = x > 0 ? floor(poisson(x * photons, r, element, key) / photons + 0.5) : 0;
    return (uint16_t)(level > 65535 ? 65535 : level);
}

static float shot_f32(float x, double photons, two_uniforms r, int64_t element, const uint32_t *key)
{
    const double mean = x * photons;
    return mean > 0 && mean < 1e15 ? (float)(poisson(mean, r, element, key) / photons) : x;
}

#define JP_DEFINE_SHOT(NAME, T, ONE)                                                              \
    int NAME(const T *x, int64_t first, int64_t n, double photons, const uint32_t *key, T *out)   \
    {                                                                                             \
        uint64_t pairs[CHUNK_COUNTERS * 2];                                                       \
        if (first < 0 || n < 0 || first + n > UINT32_MAX) return JP_ERR_SIZE;                     \
        for (int64_t done = 0; done < n;) {                                                       \
            const int64_t skip = (first + done) % JP_GROUP_COUNTERS, rest = n - done + skip;      \
            const int64_t take = rest < CHUNK_COUNTERS ? rest : CHUNK_COUNTERS;                   \
            jp_philox_fill(key, PURPOSE_SHOT, (first + done) / JP_GROUP_COUNTERS,                 \
                           (take + JP_GROUP_COUNTERS - 1) / JP_GROUP_COUNTERS, pairs);            \
            for (int64_t i = skip; i < take; i++, done++)                                         \
                out[done] = ONE(x[done], photons, drawn_at(pairs, i), first + done, key);         \
        }                                                                                         \
        return JP_OK;                                                                             \
    }

JP_DEFINE_SHOT(jp_shot_u16, uint16_t, shot_u16)
JP_DEFINE_SHOT(jp_shot_f32, float, shot_f32)

int64_t jp_augment_shot_room(const jp_augment_step *step, int64_t image, int64_t height, int64_t width,
                             int32_t channels)
{
    (void)image, (void)height, (void)width, (void)channels;
    return step->dtype == JP_U8 ? (int64_t)sizeof(jp_shot_table) : 0;
}

static int shot_span(const jp_augment_at *at, int32_t dtype, const void *x, int64_t first, int64_t n,
                     const uint32_t *key, void *out)
{
    const double photons = *jp_augment_parameters(at);
    jp_shot_table *table = at->room;
    if (dtype == JP_U16) return jp_shot_u16(x, first, n, photons, key, out);
    if (dtype == JP_F32) return jp_shot_f32(x, first, n, photons, key, out);
    if (table->photons != photons) jp_shot_reset(photons, table);
    return jp_shot_u8(x, first, n, table, key, out);
}

/* Parameters: photons > 0 a unit of the pixels. */
int jp_augment_shot(const jp_augment_at *at, const jp_augment_view *in, const jp_augment_view *out,
                    int64_t first, int64_t last)
{
    return jp_noise_rows(at, in, out, first, last, shot_span);
}
