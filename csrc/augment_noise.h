/* Noise on pixels: what is added to element e of an image is a function of (key, e) alone, never of the
   tile, thread or batch. key: 4 words that belong to (seed, epoch, image, operation). */
#ifndef JP_AUGMENT_NOISE_H
#define JP_AUGMENT_NOISE_H

#include <stdint.h>

enum { JP_NOISE_BITS = 15, JP_NOISE_CELLS = 1 << JP_NOISE_BITS, JP_NOISE_LARGEST = 255 };

/* The law of |D|, D a rounded Gaussian, by inversion: cell i holds the magnitude of all uniforms in
   [i, i + 1) / JP_NOISE_CELLS, or JP_NOISE_LARGEST where they differ (or reach it) and `below` decides. */
typedef struct {
    double sigma;                           /* grey levels; tables are made anew where it changes */
    double below[JP_NOISE_LARGEST + 1];     /* P(|D| <= k); 1 at the end, where pixels saturate */
    uint8_t magnitude[JP_NOISE_CELLS];
} jp_noise_table;

/* sigma >= 0, finite. Total variation distance of the sampler from the exact law: < 2^-44. */
void jp_noise_tabulate(double sigma, jp_noise_table *table);

/* Elements first .. first + n of an image; x and out are those of element `first`, and may be the same. */
int jp_augment_noise_u8(const uint8_t *x, int64_t first, int64_t n, const jp_noise_table *table,
                        const uint32_t *key, uint8_t *out);
int jp_augment_noise_u16(const uint16_t *x, int64_t first, int64_t n, double sigma, const uint32_t *key,
                         uint16_t *out);
int jp_augment_noise_f32(const float *x, int64_t first, int64_t n, double sigma, const uint32_t *key,
                         float *out);

enum { JP_SHOT_GUIDES = 64 };

/* The law of a pixel's level after shot noise, by the level before it; rows are made when first met. */
typedef struct {
    double photons;                       /* a grey level; clear `ready` where it changes */
    uint8_t ready[256];
    uint8_t guide[256][JP_SHOT_GUIDES];   /* first level to try for the top bits of the uniform */
    uint32_t below[256][256];             /* largest uniform of the level, in units of 2^-32 */
} jp_shot_table;

void jp_shot_reset(double photons, jp_shot_table *table);

/* Poisson counts of mean photons * x, divided by photons again, ties upwards; photons > 0 a unit of x.
   Pixels that are not above 0 (NaN too) stay, and floats of over 10^15 photons, whose noise is below
   their rounding. Total variation distance from the law: < 2^-24 on uint8, rounding of double elsewhere. */
int jp_augment_shot_u8(const uint8_t *x, int64_t first, int64_t n, jp_shot_table *table,
                       const uint32_t *key, uint8_t *out);
int jp_augment_shot_u16(const uint16_t *x, int64_t first, int64_t n, double photons, const uint32_t *key,
                        uint16_t *out);
int jp_augment_shot_f32(const float *x, int64_t first, int64_t n, double photons, const uint32_t *key,
                        float *out);

#endif
