/* Chains of maps: local steps that send each value of a channel to a value.

   On uint8 the maps from bytes to bytes are run once on the 256 values and become a table, so that
   the fused result is that of the steps one after the other, bit for bit. Other types go from map to
   map in chunks that stay in L1. uint8 and uint16 are rounded to nearest, ties to even, and saturated. */
#include "augment_mean.h"
#include "augment_rows.h"
#include "augment_stream.h"
#include "table_bytes.h"
#include "table_lanes.h"

#include <math.h>

enum { CHUNK = 1024, SLOTS = 4 };

typedef void function(const float *x, float *out, int64_t n); /* the user's own */

typedef struct {
    double mean;                 /* of the input, where the first map is contrast */
    int64_t n_tabulated;         /* first maps, that are in the table */
    int64_t chunk;               /* values: a multiple of 16 and of the channels */
    uint8_t table[256];
    float factor[SLOTS][CHUNK], shift[SLOTS][CHUNK]; /* of affine maps, repeated pixel by pixel */
} chain;

_Static_assert(sizeof(chain) <= JP_AUGMENT_STATE, "a chain must fit its room");

static const double *parameters_of(const jp_augment_step *step, int64_t image)
{
    return step->parameters + image * step->n_parameters;
}

static function *function_of(const jp_augment_step *step)
{
    function *f;
    memcpy(&f, step->shared, sizeof f);
    return f;
}

/* White: what gamma leaves where it is. */
static double white_of(int32_t type) { return type == JP_U8 ? 255 : type == JP_U16 ? 65535 : 1; }

static double gamma_of(double v, double gamma, double white)
{
    return v > 0 ? white * pow(v / white, gamma) : v;
}

/* Maps between like types that are a factor and a shift. */
static int is_linear(const jp_augment_step *step, int64_t image, double mean, double *factor, double *shift)
{
    const int contrast = step->kind == JP_AUGMENT_CONTRAST;
    if (!contrast && step->kind != JP_AUGMENT_BRIGHTNESS) return 0;
    const double p = *parameters_of(step, image);
    *factor = contrast ? p : 1;
    *shift = contrast ? (1 - p) * mean : p;
    return 1;
}

/* All 256 values; `levels` in, doubles out. */
static void evaluate(const jp_augment_step *step, int64_t image, double mean, const uint8_t *levels,
                     double *values)
{
    double factor, shift;
    float x[256], y[256];
    if (is_linear(step, image, mean, &factor, &shift)) {
        for (int v = 0; v < 256; v++) values[v] = factor * levels[v] + shift;
    } else if (step->kind == JP_AUGMENT_GAMMA) {
        for (int v = 0; v < 256; v++) values[v] = gamma_of(levels[v], *parameters_of(step, image), 255);
    } else {
        for (int v = 0; v < 256; v++) x[v] = levels[v];
        function_of(step)(x, y, 256);
        for (int v = 0; v < 256; v++) values[v] = y[v];
    }
}

/* A function's NaN is black. Ties to even: the sum has no fractional bits, and no CPU level calls
   rint. */
static uint8_t rounded_u8(double v)
{
    const double inside = v > 0 ? v < 255 ? v : 255 : 0;
    return (uint8_t)(int32_t)((inside + 0x1.8p52) - 0x1.8p52);
}

static void tabulate(const jp_augment_step *step, int64_t image, double mean, uint8_t *table)
{
    double values[256];
    evaluate(step, image, mean, table, values);
    for (int v = 0; v < 256; v++) table[v] = rounded_u8(values[v]);
}

JP_CLONES
static void look_up(const uint8_t *x, const uint8_t *table, int64_t n, int streams, uint8_t *out)
{
    const int64_t done = jp_has_table_bytes() ? jp_table_bytes(x, table, n, streams, out) : 0;
    jp_look_up(x + done, table, n - done, out + done);
}

/* The table of all steps that make bytes of bytes. */
static void fill_table(chain *c, const jp_augment_step *const *steps, int64_t n_steps, int64_t image,
                       const jp_augment_view *in)
{
    for (int v = 0; v < 256; v++) c->table[v] = (uint8_t)v;
    for (; c->n_tabulated < n_steps && steps[c->n_tabulated]->dtype == JP_U8; c->n_tabulated++) {
        const jp_augment_step *step = steps[c->n_tabulated];
        const int contrast = step->kind == JP_AUGMENT_CONTRAST && in != NULL;
        tabulate(step, image, contrast ? jp_mean_level(in, c->table) : 0, c->table);
    }
}

static void repeat(const double *values, int64_t channels, int64_t n, float *out)
{
    for (int64_t c = 0; c < channels; c++) out[c] = (float)values[c];
    for (int64_t done = channels; done < n; done *= 2) /* doubles what is there */
        memcpy(out + done, out, (size_t)(done < n - done ? done : n - done) * sizeof *out);
}

int jp_augment_maps_begin(const jp_augment_at *at, const jp_augment_step *const *steps, int64_t n_steps,
                          int32_t dtype, const jp_augment_view *in)
{
    chain *c = at->state;
    const int64_t channels = steps[0]->channels, pattern = 16 * channels;
    c->chunk = CHUNK / pattern * pattern;
    c->mean = 0;
    c->n_tabulated = 0;
    if (dtype == JP_U8) fill_table(c, steps, n_steps, at->image, in);
    else if (steps[0]->kind == JP_AUGMENT_CONTRAST && in != NULL) c->mean = jp_mean(in);
    for (int64_t s = 0, slot = 0; s < n_steps && slot < SLOTS; s++) {
        if (steps[s]->kind != JP_AUGMENT_AFFINE) continue;
        const double *p = parameters_of(steps[s], at->image);
        repeat(p, channels, c->chunk, c->factor[slot]);
        repeat(p + channels, channels, c->chunk, c->shift[slot++]);
    }
    return JP_OK;
}

#define JP_DEFINE_AFFINE(NAME, T)                                                                 \
    JP_INLINE void NAME(const T *restrict x, const float *restrict factor, const float *restrict shift, \
                        int64_t n, float *restrict out)                                           \
    {                                                                                             \
        for (int64_t i = 0; i < n; i++) out[i] = (float)x[i] * factor[i] + shift[i];              \
    }

JP_DEFINE_AFFINE(affine_u8, uint8_t)
JP_DEFINE_AFFINE(affine_u16, uint16_t)
JP_DEFINE_AFFINE(affine_f32, float)

JP_CLONES
static void affine(const void *x, int32_t type, const float *factor, const float *shift, int64_t n, float *out)
{
    if (type == JP_U8) affine_u8(x, factor, shift, n, out);
    else if (type == JP_U16) affine_u16(x, factor, shift, n, out);
    else affine_f32(x, factor, shift, n, out);
}

/* An affine map that found no slot. */
static void affine_slowly(const void *x, int32_t type, const double *p, int64_t channels, int64_t n, float *out)
{
    jp_row_to_float(x, type, n, out);
    for (int64_t i = 0; i < n; i++)
        out[i] = out[i] * (float)p[i % channels] + (float)p[channels + i % channels];
}

JP_CLONES
static void linear_u16(const uint16_t *restrict x, double factor, double shift, int64_t n, uint16_t *restrict out)
{
    for (int64_t i = 0; i < n; i++) {
        double v = factor * x[i] + shift;
        v = v < 0 ? 0 : v > 65535 ? 65535 : v;
        out[i] = (uint16_t)(int32_t)((v + 0x1.8p52) - 0x1.8p52); /* ties to even */
    }
}

JP_CLONES
static void linear_f32(const float *restrict x, float factor, float shift, int64_t n, float *restrict out)
{
    for (int64_t i = 0; i < n; i++) out[i] = factor * x[i] + shift;
}

static void call(const jp_augment_step *step, const void *x, int64_t n, void *out)
{
    float from[CHUNK], to[CHUNK];
    jp_row_to_float(x, step->dtype, n, from);
    function_of(step)(from, to, n);
    for (int64_t i = 0; step->dtype != JP_F32 && i < n; i++) to[i] = to[i] == to[i] ? to[i] : 0;
    jp_row_from_float(to, step->dtype, n, out);
}

static void gamma_row(const void *x, int32_t type, double gamma, int64_t n, void *out)
{
    const float white = (float)white_of(type), power = (float)gamma;
    float row[CHUNK];
    jp_row_to_float(x, type, n, row);
    for (int64_t i = 0; i < n; i++) row[i] = row[i] > 0 ? white * powf(row[i] / white, power) : row[i];
    jp_row_from_float(row, type, n, out);
}

/* One map of a chunk; uint8 goes by the table and never comes here but to be made float. */
static void map(const jp_augment_step *step, int64_t image, const chain *c, int32_t type, int64_t slot,
                const void *x, int64_t n, void *out)
{
    const double *p = parameters_of(step, image);
    double factor = 1, shift = 0;
    if (step->kind == JP_AUGMENT_AFFINE && slot < SLOTS)
        affine(x, type, c->factor[slot], c->shift[slot], n, out);
    else if (step->kind == JP_AUGMENT_AFFINE) affine_slowly(x, type, p, step->channels, n, out);
    else if (step->kind == JP_AUGMENT_FUNCTION) call(step, x, n, out);
    else if (step->kind == JP_AUGMENT_GAMMA) gamma_row(x, type, *p, n, out);
    else {
        is_linear(step, image, c->mean, &factor, &shift);
        if (type == JP_U16) linear_u16(x, factor, shift, n, out);
        else linear_f32(x, (float)factor, (float)shift, n, out);
    }
}

/* n values, at most a chunk, through the maps behind the table. */
static void map_chunk(const jp_augment_at *at, const jp_augment_step *const *steps, int64_t n_steps,
                      int32_t type, const void *x, int64_t n, int streams, void *out)
{
    const chain *c = at->state;
    float rooms[2][CHUNK];
    uint8_t levels[CHUNK];
    if (c->n_tabulated > 0) {
        look_up(x, c->table, n, 0, levels);
        x = levels;
    }
    for (int64_t s = c->n_tabulated, slot = 0; s < n_steps; s++) {
        void *to = s + 1 < n_steps || streams ? rooms[s & 1] : out;
        map(steps[s], at->image, c, type, slot, x, n, to);
        slot += steps[s]->kind == JP_AUGMENT_AFFINE;
        type = steps[s]->dtype;
        x = to;
    }
    if (streams) jp_augment_stream(out, x, (size_t)(n * jp_augment_item(type)));
}

static void map_span(const jp_augment_at *at, const jp_augment_step *const *steps, int64_t n_steps,
                     int32_t type, const uint8_t *x, int64_t n, int streams, uint8_t *out)
{
    const chain *c = at->state;
    const int64_t item = jp_augment_item(type), item_out = jp_augment_item(steps[n_steps - 1]->dtype);
    if (c->n_tabulated == n_steps) {
        look_up(x, c->table, n, streams, out);
        return;
    }
    for (int64_t i = 0; i < n; i += c->chunk)
        map_chunk(at, steps, n_steps, type, x + i * item, n - i < c->chunk ? n - i : c->chunk, streams,
                  out + i * item_out);
}

int jp_augment_maps(const jp_augment_at *at, const jp_augment_step *const *steps, int64_t n_steps,
                    const jp_augment_view *in, const jp_augment_view *out, int64_t first, int64_t last)
{
    const int whole = jp_augment_whole(in) && jp_augment_whole(out);
    const int64_t width = in->width * in->channels, rows = whole ? last - first : 1;
    for (int64_t y = first; y < last; y += rows)
        map_span(at, steps, n_steps, in->dtype, jp_augment_row(in, y), rows * width, out->streams,
                 jp_augment_row(out, y));
    return JP_OK;
}
