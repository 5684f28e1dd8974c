/* Noise on pixels: what is added to element e of an image is a function of (key, e) alone, never of the
   tile, thread or batch. key: 4 words that belong to (seed, epoch, image, operation). */
#ifndef JP_AUGMENT_NOISE_H
#define JP_AUGMENT_NOISE_H

#include "augment.h"

/* The law of |D|, D a rounded Gaussian of standard deviation sigma, cut at 255 where pixels saturate. Of
   every magnitude's probability the whole multiples of 2^-15 are in Walker's alias table: 256 columns of
   128 parts, of which the first `keep` (low byte) are the column's own magnitude and the others that of the
   high byte. What is left over, and the magnitude 255, is what 255 stands for: `left_over` decides.
   Walker (1977), "An efficient method for generating discrete random variables with general
   distributions", doi:10.1145/355744.355749. */
enum { JP_NOISE_COLUMNS = 256, JP_NOISE_PARTS = 128, JP_NOISE_DOUBT = 255 };

typedef struct {
    double sigma;                           /* grey levels; 0 before the first table */
    double left_over[JP_NOISE_COLUMNS];     /* cumulative */
    uint16_t column[JP_NOISE_COLUMNS];
} jp_noise_table;

/* sigma > 0, finite. Total variation distance of the sampler from the exact law: < 2^-44. */
void jp_noise_tabulate(double sigma, jp_noise_table *table);

/* Elements first .. first + n of an image; x and out are those of element `first`, and may be the same. */
int jp_noise_u8(const uint8_t *x, int64_t first, int64_t n, const jp_noise_table *table,
                        const uint32_t *key, uint8_t *out);
int jp_noise_u16(const uint16_t *x, int64_t first, int64_t n, double sigma, const uint32_t *key,
                         uint16_t *out);
int jp_noise_f32(const float *x, int64_t first, int64_t n, double sigma, const uint32_t *key,
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
int jp_shot_u8(const uint8_t *x, int64_t first, int64_t n, jp_shot_table *table,
                       const uint32_t *key, uint8_t *out);
int jp_shot_u16(const uint16_t *x, int64_t first, int64_t n, double photons, const uint32_t *key,
                        uint16_t *out);
int jp_shot_f32(const float *x, int64_t first, int64_t n, double photons, const uint32_t *key,
                        float *out);

typedef int jp_noise_span(const jp_augment_at *at, int32_t dtype, const void *x, int64_t first, int64_t n,
                          const uint32_t *key, void *out);

/* Rows [first, last) in as few spans as their memory allows. */
JP_INLINE int jp_noise_rows(const jp_augment_at *at, const jp_augment_view *in, const jp_augment_view *out,
                            int64_t first, int64_t last, jp_noise_span *span)
{
    const int whole = jp_augment_whole(in) && jp_augment_whole(out);
    const int64_t width = in->width * in->channels, rows = whole ? last - first : 1;
    uint32_t key[4];
    jp_augment_key(at, key);
    for (int64_t y = first; y < last; y += rows) {
        const int status = span(at, in->dtype, jp_augment_row(in, y), y * width, rows * width, key,
                                jp_augment_row(out, y));
        if (status != JP_OK) return status;
    }
    return JP_OK;
}

#endif
