/* Rectangles filled (Erase), and images mixed with others of the batch (MixUp, CutMix). */
#include "augment_rows.h"
#include "augment_stream.h"

enum { JP_MIX_UP = 0, JP_MIX_CUT = 1 };

typedef struct { int64_t top, left, bottom, right; } rectangle;

static rectangle rectangle_of(const double *p, const jp_augment_view *view)
{
    rectangle r = {(int64_t)p[0], (int64_t)p[1], (int64_t)p[2], (int64_t)p[3]};
    r.left = r.left > 0 ? r.left : 0;
    r.right = r.right < view->width ? r.right : view->width;
    return r;
}

/* Rows first .. last as they are, in one piece where there are no gaps. */
static void copy_rows(const jp_augment_view *in, const jp_augment_view *out, int64_t first, int64_t last)
{
    const int whole = jp_augment_whole(in) && jp_augment_whole(out);
    const int64_t rows = whole ? last - first : 1, row_bytes = in->width * in->pixel_stride;
    for (int64_t y = first; y < last; y += rows) {
        if (out->streams) jp_augment_stream(jp_augment_row(out, y), jp_augment_row(in, y), (size_t)(rows * row_bytes));
        else memcpy(jp_augment_row(out, y), jp_augment_row(in, y), (size_t)(rows * row_bytes));
    }
}

/* A pixel of the fill values. */
static void make_pixel(const double *fill, const jp_augment_view *out, uint8_t *pixel)
{
    float value[JP_AUGMENT_CHANNELS];
    for (int32_t k = 0; k < out->channels; k++) value[k] = (float)fill[k];
    jp_row_from_float(value, out->dtype, out->channels, pixel);
}

/* One pixel, then twice as many each time. */
static void fill_row(const jp_augment_view *out, int64_t y, const rectangle *r, const uint8_t *pixel)
{
    const int64_t size = out->pixel_stride, n = (r->right - r->left) * size;
    uint8_t *to = jp_augment_row(out, y) + r->left * size;
    if (n <= 0) return;
    memcpy(to, pixel, (size_t)size);
    for (int64_t done = size; done < n; done *= 2)
        memcpy(to + done, to, (size_t)(done < n - done ? done : n - done));
}

/* Parameters: rectangle top, left, bottom, right. Shared: a value for each channel. */
int jp_augment_erase(const jp_augment_at *at, const jp_augment_view *in, const jp_augment_view *out,
                     int64_t first, int64_t last)
{
    const rectangle r = rectangle_of(jp_augment_parameters(at), out);
    uint8_t pixel[JP_AUGMENT_CHANNELS * 4];
    make_pixel(at->step->shared, out, pixel);
    copy_rows(in, out, first, last);
    for (int64_t y = first; y < last; y++)
        if (y >= r.top && y < r.bottom) fill_row(out, y, &r, pixel);
    return JP_OK;
}

/* n values of x with those of y, of which `share` is x's: never beyond the greater by half a level. */
#define JP_DEFINE_BLEND(NAME, T, ROUND)                                                           \
    JP_CLONES static void NAME(const T *restrict x, const T *restrict y, float share, int64_t n,  \
                               T *restrict out)                                                   \
    {                                                                                             \
        for (int64_t i = 0; i < n; i++)                                                           \
            out[i] = ROUND(share * (float)x[i] + (1.0f - share) * (float)y[i]);                   \
    }

JP_DEFINE_BLEND(blend_u8, uint8_t, (uint8_t)jp_nearest)
JP_DEFINE_BLEND(blend_u16, uint16_t, (uint16_t)jp_nearest)
JP_DEFINE_BLEND(blend_f32, float, )

static void blend(const void *x, const void *y, int32_t type, float share, int64_t n, void *out)
{
    if (type == JP_U8) blend_u8(x, y, share, n, out);
    else if (type == JP_U16) blend_u16(x, y, share, n, out);
    else blend_f32(x, y, share, n, out);
}

/* Pixels left .. right of row y of an image of any strides, packed. */
static void gather(const jp_augment_place *place, int64_t item, int32_t channels, int64_t y, int64_t left,
                   int64_t right, uint8_t *out)
{
    const uint8_t *row = (const uint8_t *)(uintptr_t)place->address + y * place->row_stride;
    for (int64_t x = left; x < right; x++)
        for (int32_t k = 0; k < channels; k++, out += item)
            memcpy(out, row + x * place->pixel_stride + k * place->channel_stride, (size_t)item);
}

static const uint8_t *packed_row(const jp_augment_place *place, int64_t item, int32_t channels, int64_t y)
{
    const int packed = place->pixel_stride == item * channels && (channels == 1 || place->channel_stride == item)
                       && place->address % item == 0 && place->row_stride % item == 0;
    return packed ? (const uint8_t *)(uintptr_t)place->address + y * place->row_stride : NULL;
}

/* The partner's pixels left .. right of row y into out, or blended with those of in. */
static void mix_row(const jp_augment_place *partner, const jp_augment_view *in, const jp_augment_view *out,
                    int64_t y, int64_t left, int64_t right, float share)
{
    enum { PIXELS = 256 };
    uint8_t some[PIXELS * JP_AUGMENT_CHANNELS * 4];
    const int64_t item = jp_augment_item(in->dtype), pixel = item * in->channels;
    const uint8_t *row = packed_row(partner, item, in->channels, y);
    for (int64_t x = left, take; x < right; x += take) {
        take = row != NULL || right - x < PIXELS ? right - x : PIXELS;
        if (row == NULL) gather(partner, item, in->channels, y, x, x + take, some);
        const uint8_t *theirs = row != NULL ? row + x * pixel : some;
        uint8_t *to = jp_augment_row(out, y) + x * pixel;
        if (share == 0) memcpy(to, theirs, (size_t)(take * pixel));
        else blend(jp_augment_row(in, y) + x * pixel, theirs, in->dtype, share, take * in->channels, to);
    }
}

/* Options: MixUp or CutMix. Parameters: position of the partner in the batch, the share of the image's
   own (MixUp), rectangle top, left, bottom, right of the partner (CutMix). */
int jp_augment_mix(const jp_augment_at *at, const jp_augment_view *in, const jp_augment_view *out,
                   int64_t first, int64_t last)
{
    const double *p = jp_augment_parameters(at);
    const int64_t other = (int64_t)p[0];
    if (other < 0 || other >= at->program->n_images) return JP_ERR_VALUE;
    const jp_augment_place *partner = at->program->images + other;
    if (partner->height != in->height || partner->width != in->width) return JP_ERR_SIZE;
    const int up = at->step->options[0] == JP_MIX_UP;
    const rectangle r = up ? (rectangle){0, 0, in->height, in->width} : rectangle_of(p + 2, out);
    if (!up) copy_rows(in, out, first, last);
    for (int64_t y = first; y < last; y++)
        if (y >= r.top && y < r.bottom) mix_row(partner, in, out, y, r.left, r.right, up ? (float)p[1] : 0);
    return JP_OK;
}
