/* Chains of maps: local steps that send each value of a channel to a value.

   On uint8 the chain is run once on the 256 values and becomes a table, so that the fused result
   is that of the steps one after the other, bit for bit. */
#include "augment.h"

/* State of a chain: a table of bytes. */
typedef struct { uint8_t table[256]; } chain;

static uint8_t saturated(double v) { return (uint8_t)(v <= 0 ? 0 : v >= 255 ? 255 : v + 0.5); }

int jp_augment_maps_begin(const jp_augment_at *at, const jp_augment_step *const *steps,
                          int64_t n_steps, const jp_augment_view *in) {
    (void)in;
    uint8_t *table = ((chain *)at->state)->table;
    for (int v = 0; v < 256; v++) table[v] = (uint8_t)v;
    for (int64_t s = 0; s < n_steps; s++) {
        const double shift = steps[s]->parameters[at->image * steps[s]->n_parameters];
        for (int v = 0; v < 256; v++) table[v] = saturated(table[v] + shift);
    }
    return JP_OK;
}

int jp_augment_maps(const jp_augment_at *at, const jp_augment_step *const *steps, int64_t n_steps,
                    const jp_augment_view *in, const jp_augment_view *out, int64_t first,
                    int64_t last) {
    (void)steps, (void)n_steps;
    const uint8_t *table = ((const chain *)at->state)->table;
    if (in->dtype != JP_U8 || out->dtype != JP_U8) return JP_ERR_VALUE;
    for (int64_t y = first; y < last; y++) {
        const uint8_t *from = jp_augment_row(in, y);
        uint8_t *to = jp_augment_row(out, y);
        for (int64_t x = 0; x < in->width * in->channels; x++) to[x] = table[from[x]];
    }
    return JP_OK;
}
