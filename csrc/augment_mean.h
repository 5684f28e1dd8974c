/* Means of images. */
#ifndef JP_AUGMENT_MEAN_H
#define JP_AUGMENT_MEAN_H

#include "augment.h"

/* Of all values but NaN; 0 where there are none. */
double jp_mean(const jp_augment_view *view);

/* Of bytes as a table makes them: added exactly, many rows at once. */
double jp_mean_level(const jp_augment_view *view, const uint8_t *table);

#endif
