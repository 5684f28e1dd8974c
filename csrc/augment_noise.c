/* Gaussian noise: a table of the rounded law on uint8, Box and Muller's normals elsewhere. */

#include "augment_noise.h"

#include "philox_lanes.h"
#include "table_lanes.h"

#include <math.h>
#include <string.h>

enum {
    CHUNK_GROUPS = 16,                 /* random words made at a time: 2 kB */
    GROUP_SAMPLES = 2 * JP_GROUP_WORDS, /* 16 bits each */
    PURPOSE_NOISE = 0,
    PURPOSE_DOUBT = 1
};

/* Columns filled from magnitudes of fewer parts than a column has, topped up by those of more. */
static void make_columns(int32_t *parts, uint16_t *column)
{
    int few[JP_NOISE_COLUMNS], many[JP_NOISE_COLUMNS], n_few = 0, n_many = 0;
    for (int k = 0; k < JP_NOISE_COLUMNS; k++) {
        if (parts[k] < JP_NOISE_PARTS) few[n_few++] = k;
        else many[n_many++] = k;
    }
    while (n_few > 0) {
        const int k = few[--n_few], donor = many[n_many - 1];
        column[k] = (uint16_t)(parts[k] | donor << 8);
        parts[donor] -= JP_NOISE_PARTS - parts[k];
        if (parts[donor] < JP_NOISE_PARTS) few[n_few++] = donor, n_many--;
    }
    while (n_many > 0) {
        const int k = many[--n_many];
        column[k] = (uint16_t)(k << 8);
    }
}

void jp_noise_tabulate(double sigma, jp_noise_table *table)
{
    const double width = sigma * sqrt(2.0), unit = 1.0 / (JP_NOISE_COLUMNS * JP_NOISE_PARTS);
    int32_t parts[JP_NOISE_COLUMNS], spare = JP_NOISE_COLUMNS * JP_NOISE_PARTS;
    double below = 0, left = 0;
    for (int k = 0; k < JP_NOISE_COLUMNS; k++) {
        const int last = k == JP_NOISE_DOUBT || k + 0.5 > 9.0 * sigma; /* 1 - 2^-61 */
        const double next = last ? 1.0 : erf((k + 0.5) / width), p = next - below;
        parts[k] = k == JP_NOISE_DOUBT ? spare : (int32_t)(p / unit);
        left += k == JP_NOISE_DOUBT ? p : p - parts[k] * unit;
        table->left_over[k] = left;
        spare -= parts[k];
        below = next;
    }
    table->sigma = sigma;
    make_columns(parts, table->column);
}

/* A magnitude of the mass that is left over, by 53 bits. */
static uint8_t settle(const jp_noise_table *t, int64_t element, const uint32_t *key)
{
    const jp_philox32 r =
        jp_philox4x32((uint32_t)element, PURPOSE_DOUBT, key[2], key[3], key[0], key[1]);
    const double u = jp_uniform((uint64_t)r.word[1] << 32 | r.word[0]) * t->left_over[JP_NOISE_DOUBT];
    int k = 0;
    while (k < JP_NOISE_DOUBT && u >= t->left_over[k]) k++;
    return (uint8_t)k;
}

/* Random words and their halves, the lower half of a word first. */
typedef union {
    uint64_t pair[CHUNK_GROUPS * JP_GROUP_WORDS / 2];
    uint16_t half[CHUNK_GROUPS * GROUP_SAMPLES];
} halves;

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
enum { HALF_ORDER = 3, WORD_ORDER = 1 };
#else
enum { HALF_ORDER = 0, WORD_ORDER = 0 };
#endif

/* A sample's 16 bits: sign, column, part. */
JP_INLINE uint8_t magnitude_of(const jp_noise_table *t, uint16_t half)
{
    const uint16_t column = half >> 7 & 255, entry = t->column[column];
    return (uint8_t)((half & 127) < (entry & 255) ? column : entry >> 8);
}

/* Magnitudes and signs (0 or 255) of n samples, a multiple of 32. */
JP_INLINE void look_up(const jp_noise_table *t, const halves *w, int64_t n, uint8_t *magnitude, uint8_t *sign)
{
    int64_t i = 0;
#if defined(__GNUC__) && !defined(__clang__)
    if (jp_has_table_lanes() && HALF_ORDER == 0) {
        jp_words columns[8];
        memcpy(columns, t->column, sizeof columns);
        for (; i < n; i += JP_TABLE_LANES) {
            const jp_words half = *(const jp_words *)(w->half + i), column = half >> 7 & 255;
            jp_words entry;
            JP_TABLE_AT(columns, column, entry);
            const jp_words found = JP_CHOOSE((half & 127) < (entry & 255), column, entry >> 8);
            *(jp_bytes *)(magnitude + i) = __builtin_convertvector(found, jp_bytes);
        }
    }
#endif
    for (; i < n; i++) magnitude[i] = magnitude_of(t, w->half[i ^ HALF_ORDER]);
    for (i = 0; i < n; i++) sign[i] = (uint8_t)((int16_t)w->half[i ^ HALF_ORDER] >> 15);
}

JP_INLINE int any_doubt(const uint8_t *magnitude, int64_t n)
{
    uint8_t largest = 0;
    for (int64_t i = 0; i < n; i++) largest = magnitude[i] > largest ? magnitude[i] : largest;
    return largest == JP_NOISE_DOUBT;
}

/* Whether one of 8 bytes is 255. */
JP_INLINE int any_largest(const uint8_t *eight)
{
    uint64_t v;
    memcpy(&v, eight, sizeof v);
    return ((~v - UINT64_C(0x0101010101010101)) & v & UINT64_C(0x8080808080808080)) != 0;
}

/* n: a multiple of 8. */
static void settle_all(const jp_noise_table *t, int64_t first, int64_t n, const uint32_t *key, uint8_t *magnitude)
{
    for (int64_t i = 0; i < n; i += 8) {
        if (!any_largest(magnitude + i)) continue;
        for (int64_t j = i; j < i + 8; j++)
            if (magnitude[j] == JP_NOISE_DOUBT) magnitude[j] = settle(t, first + j, key);
    }
}

/* Saturating sum or difference. */
JP_INLINE void add_signed(const uint8_t *x, const uint8_t *magnitude, const uint8_t *sign, int64_t n,
                          uint8_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        const uint8_t v = x[i], m = magnitude[i], room = (uint8_t)~v;
        const uint8_t up = (uint8_t)(v + (m < room ? m : room));
        const uint8_t down = (uint8_t)((v > m ? v : m) - m);
        out[i] = (uint8_t)((up & ~sign[i]) | (down & sign[i]));
    }
}

JP_CLONES
int jp_noise_u8(const uint8_t *x, int64_t first, int64_t n, const jp_noise_table *table,
                        const uint32_t *key, uint8_t *out)
{
    enum { SAMPLES = CHUNK_GROUPS * GROUP_SAMPLES };
    halves words;
    uint8_t magnitude[SAMPLES], sign[SAMPLES];
    if (first < 0 || n < 0 || first + n > UINT32_MAX) return JP_ERR_SIZE;
    for (int64_t done = 0; done < n;) {
        const int64_t group = (first + done) / GROUP_SAMPLES, skip = (first + done) % GROUP_SAMPLES;
        const int64_t rest = n - done + skip, take = rest < SAMPLES ? rest : SAMPLES;
        const int64_t groups = (take + GROUP_SAMPLES - 1) / GROUP_SAMPLES;
        jp_philox_fill(key, PURPOSE_NOISE, group, groups, words.pair);
        look_up(table, &words, groups * GROUP_SAMPLES, magnitude, sign);
        if (any_doubt(magnitude, groups * GROUP_SAMPLES))
            settle_all(table, group * GROUP_SAMPLES, groups * GROUP_SAMPLES, key, magnitude);
        add_signed(x + done, magnitude + skip, sign + skip, take - skip, out + done);
        done += take - skip;
    }
    return JP_OK;
}

/* Logarithm of u in (0, 1], to 1.5 units of the last place; Cephes' minimax polynomial of logf. */
JP_INLINE float log_unit(float u)
{
    uint32_t bits;
    float m, f, p;
    memcpy(&bits, &u, sizeof bits);
    /* u = 2^exponent m, m in [sqrt 1/2, sqrt 2) */
    const int32_t exponent = (int32_t)(bits - 0x3f3504f3) >> 23;
    bits -= (uint32_t)exponent << 23;
    memcpy(&m, &bits, sizeof m);
    f = m - 1.0f;
    p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    const float e = (float)exponent, square = f * f;
    return (p * f * square + e * -2.12194440e-4f - 0.5f * square) + f + e * 0.693359375f;
}

/* Two normals of two words: radius sqrt(-2 log u), angle by quarter turns. */
JP_INLINE void normals(uint32_t a, uint32_t b, float *first, float *second)
{
    const float u = ((float)(int32_t)(a >> 1) + 0.5f) * 0x1p-31f;
    const float minus = -2.0f * log_unit(u), radius = sqrtf(minus > 0.0f ? minus : 0.0f);
    const float t = (float)(int32_t)(b << 2) * (0x1p-32f * 1.57079632679f), q = t * t; /* |t| <= pi / 4 */
    const float s = t + t * q * (-1.6666654611e-1f + q * (8.3321608736e-3f + q * -1.9515295891e-4f));
    const float c = 1.0f - 0.5f * q + q * q * (4.166664568298827e-2f + q * (-1.388731625493765e-3f
                                                                      + q * 2.443315711809948e-5f));
    const uint32_t quarter = b >> 30;
    const float x = quarter & 1 ? s : c, y = quarter & 1 ? c : s;
    *first = radius * (quarter & 2 ? -x : x);
    *second = radius * (quarter & 2 ? -y : y);
}

enum { NORMALS = CHUNK_GROUPS * JP_GROUP_WORDS };

/* Random words, the lower of a pair first. */
typedef union {
    uint64_t pair[NORMALS / 2];
    uint32_t word[NORMALS];
} words;

/* z: JP_GROUP_WORDS normals a group: cosines of the first 16 words with the last 16, then sines. */
JP_INLINE void normal_groups(const words *w, int64_t n, float *restrict z)
{
    for (int64_t g = 0; g < n; g++, z += JP_GROUP_WORDS) {
        const uint32_t *word = w->word + g * JP_GROUP_WORDS;
        for (int i = 0; i < 16; i++)
            normals(word[i ^ WORD_ORDER], word[(16 + i) ^ WORD_ORDER], z + i, z + 16 + i);
    }
}

/* Normals of the elements from `from` on: up to `most`, beginning at z[skip]. Returns skip; sets take. */
JP_INLINE int64_t draw_normals(int64_t from, int64_t most, const uint32_t *key, float *z, int64_t *take)
{
    words w;
    const int64_t skip = from % JP_GROUP_WORDS, rest = most + skip;
    const int64_t reach = rest < NORMALS ? rest : NORMALS;
    const int64_t groups = (reach + JP_GROUP_WORDS - 1) / JP_GROUP_WORDS;
    jp_philox_fill(key, PURPOSE_NOISE, from / JP_GROUP_WORDS, groups, w.pair);
    normal_groups(&w, groups, z);
    *take = reach - skip;
    return skip;
}

JP_CLONES
int jp_noise_u16(const uint16_t *x, int64_t first, int64_t n, double sigma, const uint32_t *key,
                         uint16_t *out)
{
    /* Beyond 2^17 every pixel saturates; below it rint fits an int. */
    const float scale = (float)(sigma < 0x1p24 ? sigma : 0x1p24), bound = 0x1p17f, magic = 0x1.8p23f;
    float z[NORMALS];
    if (first < 0 || n < 0 || first + n > UINT32_MAX) return JP_ERR_SIZE;
    for (int64_t done = 0, take; done < n; done += take) {
        const float *at = z + draw_normals(first + done, n - done, key, z, &take);
        for (int64_t i = 0; i < take; i++) {
            float d = scale * at[i];
            d = d < -bound ? -bound : d > bound ? bound : d;
            const int32_t v = x[done + i] + (int32_t)((d + magic) - magic); /* to the nearest integer */
            out[done + i] = (uint16_t)(v < 0 ? 0 : v > 65535 ? 65535 : v);
        }
    }
    return JP_OK;
}

JP_CLONES
int jp_noise_f32(const float *x, int64_t first, int64_t n, double sigma, const uint32_t *key,
                         float *out)
{
    const float scale = (float)sigma;
    float z[NORMALS];
    if (first < 0 || n < 0 || first + n > UINT32_MAX) return JP_ERR_SIZE;
    for (int64_t done = 0, take; done < n; done += take) {
        const float *at = z + draw_normals(first + done, n - done, key, z, &take);
        for (int64_t i = 0; i < take; i++) out[done + i] = x[done + i] + scale * at[i];
    }
    return JP_OK;
}

int64_t jp_augment_noise_room(const jp_augment_step *step, int64_t image, int64_t height, int64_t width,
                              int32_t channels)
{
    (void)image, (void)height, (void)width, (void)channels;
    return step->dtype == JP_U8 ? (int64_t)sizeof(jp_noise_table) : 0;
}

static int noise_span(const jp_augment_at *at, int32_t dtype, const void *x, int64_t first, int64_t n,
                      const uint32_t *key, void *out)
{
    const double sigma = *jp_augment_parameters(at);
    jp_noise_table *table = at->room;
    if (dtype == JP_U16) return jp_noise_u16(x, first, n, sigma, key, out);
    if (dtype == JP_F32) return jp_noise_f32(x, first, n, sigma, key, out);
    if (sigma == 0) { /* what a room without a table says */
        memmove(out, x, (size_t)n);
        return JP_OK;
    }
    if (table->sigma != sigma) jp_noise_tabulate(sigma, table);
    return jp_noise_u8(x, first, n, table, key, out);
}

/* Parameters: sigma >= 0. */
int jp_augment_noise(const jp_augment_at *at, const jp_augment_view *in, const jp_augment_view *out,
                     int64_t first, int64_t last)
{
    return jp_noise_rows(at, in, out, first, last, noise_span);
}
