/* Colours: what mixes the three channels of a pixel, on floats. */
#include "augment_rows.h"
#include "augment_triples.h"

enum { CHUNK = 512 /* pixels */, JP_COLOUR_MATRIX = 0, JP_COLOUR_HUE = 1, JP_COLOUR_ALIKE = 2 };

/* x: n pixels of 3 floats, in place; m: 3 x 3. 15 FLOPs a pixel. */
JP_INLINE void mix_channels(const float *m, int64_t n, float *x)
{
    for (int64_t i = 0; i < n; i++) {
        const float r = x[3 * i], g = x[3 * i + 1], b = x[3 * i + 2];
        x[3 * i] = m[0] * r + m[1] * g + m[2] * b;
        x[3 * i + 1] = m[3] * r + m[4] * g + m[5] * b;
        x[3 * i + 2] = m[6] * r + m[7] * g + m[8] * b;
    }
}

/* The first row of m for all channels. 5 FLOPs a pixel. */
JP_INLINE void mix_alike(const float *m, int64_t n, float *x)
{
    for (int64_t i = 0; i < n; i++)
        x[3 * i] = x[3 * i + 1] = x[3 * i + 2] = m[0] * x[3 * i] + m[1] * x[3 * i + 1] + m[2] * x[3 * i + 2];
}

/* Value of a channel whose hue lies `sector` sixths of a turn from where it is least; sector in [0, 18). */
JP_INLINE float channel_at(float sector, float top, float chroma)
{
    float k = sector >= 12 ? sector - 12 : sector >= 6 ? sector - 6 : sector;
    k = k < 4 - k ? k : 4 - k;
    k = k < 0 ? 0 : k > 1 ? 1 : k;
    return top - chroma * k;
}

/* Hue of HSV turned by `sixths` of a turn, 0 to 6; value and saturation stay. About 35 FLOPs a pixel. */
JP_INLINE void turn_hue(float sixths, int64_t n, float *x)
{
    for (int64_t i = 0; i < n; i++) {
        const float r = x[3 * i], g = x[3 * i + 1], b = x[3 * i + 2], sum = r + g + b;
        const float rg = r > g ? r : g, low = r < g ? r : g;
        const float top = rg > b ? rg : b, bottom = low < b ? low : b, chroma = top - bottom;
        const float unit = chroma > 0 ? 1 / chroma : 0;
        float h = top == r ? (g - b) * unit : top == g ? (b - r) * unit + 2 : (r - g) * unit + 4;
        h += sixths;
        h = h < 0 ? h + 6 : h;
        const int missing = sum != sum; /* NaN in, NaN out */
        x[3 * i] = missing ? sum : channel_at(h + 5, top, chroma);
        x[3 * i + 1] = missing ? sum : channel_at(h + 3, top, chroma);
        x[3 * i + 2] = missing ? sum : channel_at(h + 1, top, chroma);
    }
}

/* Whether the mean of bytes by these weights is a byte. */
JP_INLINE int is_mean(const float *m)
{
    return m[0] >= 0 && m[1] >= 0 && m[2] >= 0 && m[0] + m[1] + m[2] < 1.001f;
}

JP_CLONES
static void colour_row(const void *x, int32_t type, int64_t n, int32_t what, const float *m, void *out)
{
    float pixels[3 * CHUNK];
    int64_t i = 0;
    if (what == JP_COLOUR_ALIKE && type == JP_U8 && is_mean(m) && jp_has_wide())
        i = jp_grey_triples(m, n, x, out);
    for (; i < n; i += CHUNK) {
        const int64_t take = n - i < CHUNK ? n - i : CHUNK;
        jp_row_to_float(jp_at(x, type, 3 * i), type, 3 * take, pixels);
        if (what == JP_COLOUR_HUE) turn_hue(m[0], take, pixels);
        else if (what == JP_COLOUR_ALIKE) mix_alike(m, take, pixels);
        else mix_channels(m, take, pixels);
        jp_row_from_float(pixels, type, 3 * take, (char *)out + 3 * i * jp_augment_item(type));
    }
}

/* Options: matrix, hue, or one row for all channels. Parameters: 3 x 3 by rows, turns in [0, 1), or 3. */
int jp_augment_colour(const jp_augment_at *at, const jp_augment_view *in, const jp_augment_view *out,
                      int64_t first, int64_t last)
{
    const double *p = jp_augment_parameters(at);
    const int32_t what = at->step->options[0];
    float m[9] = {(float)(6 * p[0])};
    if (in->channels != 3) return JP_ERR_SIZE;
    for (int k = 0; what != JP_COLOUR_HUE && k < (what == JP_COLOUR_ALIKE ? 3 : 9); k++) m[k] = (float)p[k];
    const int64_t rows = jp_augment_whole(in) && jp_augment_whole(out) ? last - first : 1;
    for (int64_t y = first; y < last; y += rows)
        colour_row(jp_augment_row(in, y), in->dtype, rows * in->width, what, m, jp_augment_row(out, y));
    return JP_OK;
}
