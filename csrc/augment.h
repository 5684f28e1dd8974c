/* Augment: a program of steps run over a range of images, each image passing through all its steps
   while it is in cache.

   A step makes rows [first, last) of its output from its input. Two sorts of steps:
   - a local step makes row y from row y of its input alone (brightness, noise, erase);
   - any other step may read its whole input (warp, resize, blur).
   A stage is one step of any sort and the local steps after it; it runs over bands of rows that
   stay in L1. Between stages a whole image waits in scratch. Consecutive maps (local steps that
   send each value of a channel to a value) are one chain; on uint8 the chain is one table.

   How to add a step: a kind here, a kernel of type jp_augment_rows in the file of its family, a
   line of the table KINDS in augment.c; in Python an Operation (operation.py) that returns a Step
   of that kind. Maps: a kind between JP_AUGMENT_MAPS and JP_AUGMENT_MAPS_END, and a case in
   augment_point.c. */
#ifndef JP_AUGMENT_H
#define JP_AUGMENT_H

#include <stdint.h>

#include "philox.h"

enum { JP_AUGMENT_STEPS = 64, JP_AUGMENT_CHANNELS = 16 };

/* Types of pixels. The value is what _augment.pyx and batches.py call them. */
enum { JP_U8 = 0, JP_U16 = 1, JP_F32 = 2 };

/* Kinds of steps; operation.py holds the same numbers. */
enum {
    JP_AUGMENT_COPY = 0,       /* any strides to any strides, types alike */
    JP_AUGMENT_GEOMETRY = 1,   /* whole-pixel move or warp, decided per image */
    JP_AUGMENT_RESIZE = 2,
    JP_AUGMENT_BLUR = 3,
    JP_AUGMENT_ERASE = 4,
    JP_AUGMENT_MIX = 5,        /* first step of its program: reads program->images of others */
    JP_AUGMENT_NOISE = 6,
    JP_AUGMENT_SHOT = 7,
    JP_AUGMENT_COLOUR = 8,     /* across channels: saturation, hue, grayscale */
    JP_AUGMENT_MAPS = 100,
    JP_AUGMENT_BRIGHTNESS = 100,
    JP_AUGMENT_CONTRAST = 101, /* measures its whole input */
    JP_AUGMENT_GAMMA = 102,
    JP_AUGMENT_FUNCTION = 103, /* the user's own */
    JP_AUGMENT_AFFINE = 104,   /* a factor and a shift by channel, to float32 */
    JP_AUGMENT_MAPS_END = 200
};

enum { JP_BORDER_CONSTANT, JP_BORDER_EDGE, JP_BORDER_REFLECT, JP_BORDER_REFLECT101,
       JP_BORDER_WRAP };
enum { JP_NEAREST, JP_BILINEAR };

/* Rows [first_row, height) of an image; strides in bytes. Packed: pixels without gaps in a row. */
typedef struct {
    uint8_t *data;             /* row first_row */
    int64_t height, width, row_stride, pixel_stride, channel_stride;
    int64_t first_row;
    int32_t dtype, channels;
    int32_t streams;           /* copies to it go past the caches, which it would flood */
} jp_augment_view;

typedef struct {
    int32_t kind;
    int32_t dtype, channels;   /* of the output */
    int32_t position;          /* of the operation in the pipeline: what its random numbers are for */
    int32_t options[4];        /* by kind, alike for all images */
    int64_t n_parameters;
    const double *parameters;  /* [n_images, n_parameters] by kind */
    const uint8_t *active;     /* [n_images] 0 leaves the image out; NULL: none is left out */
    const int64_t *sizes;      /* [n_images, 2] height and width of the output */
    const void *shared;        /* by kind, alike for all images: tables, fill values */
} jp_augment_step;

/* An image of a batch as Python describes it. */
typedef struct {
    int64_t address, height, width, row_stride, pixel_stride, channel_stride;
} jp_augment_place;

typedef struct {
    int64_t n_images, n_steps;
    const jp_augment_step *steps;
    const jp_augment_place *images, *outputs;  /* [n_images] */
    const int64_t *indices;                    /* [n_images] index of the image in its data set */
    int64_t epoch;
    uint64_t seed;
    int32_t dtype, channels;                   /* of the images */
} jp_augment_program;

/* What a kernel is told beside its views. */
typedef struct {
    const jp_augment_program *program;
    const jp_augment_step *step;
    int64_t image;             /* position in the batch */
    void *state;               /* of the stage, JP_AUGMENT_STATE bytes; filled by begin */
    void *room;                /* of the step; its first 64 bytes are 0 when a run begins, and what
                                  it holds stays from image to image */
} jp_augment_at;

/* Room for what a chain of maps holds: a table, and coefficients of some affine maps. */
enum { JP_AUGMENT_STATE = 34 * 1024 };

/* Rows [first, last) of `out`. Both views are packed but for copies. */
typedef int jp_augment_rows(const jp_augment_at *at, const jp_augment_view *in,
                            const jp_augment_view *out, int64_t first, int64_t last);

/* Bytes of room for a step and an image of this size. */
typedef int64_t jp_augment_room(const jp_augment_step *step, int64_t image, int64_t height,
                                int64_t width, int32_t channels);

/* Images [first, last) of the program. `scratch` is of one thread and at least
   jp_augment_scratch bytes. */
int jp_augment_run(const jp_augment_program *program, int64_t first, int64_t last,
                   uint8_t *scratch);
int64_t jp_augment_scratch(const jp_augment_program *program);

/* Uniforms in [0, 1): [n_images, n_draws] of one operation. */
int jp_augment_uniforms(uint64_t seed, int64_t epoch, int64_t position,
                        const int64_t *restrict indices, int64_t n_images, int64_t n_draws,
                        double *restrict uniforms);

/* product = first x second of matrices (n, 2, 3) whose last rows (0, 0, 1) are left out. */
void jp_augment_product(const double *restrict first, const double *restrict second, int64_t n,
                        double *restrict product);

/* The largest coordinate of the corners of outputs of these sizes (n, 2), and the largest step from
   pixel to pixel; NaN where there is one. */
void jp_augment_reach(const double *restrict matrices, const int64_t *restrict sizes, int64_t n,
                      double *restrict farthest, double *restrict largest_step);

jp_augment_rows jp_augment_copy, jp_augment_geometry, jp_augment_resize, jp_augment_blur,
    jp_augment_erase, jp_augment_mix, jp_augment_noise, jp_augment_shot, jp_augment_colour;
jp_augment_room jp_augment_resize_room, jp_augment_blur_room, jp_augment_noise_room,
    jp_augment_shot_room;

/* A chain of maps: begin once an image (`in` is the whole image when the first step of the chain
   is the first of its stage, otherwise NULL: its rows are not there yet), then bands of rows.
   dtype: of what goes in. Contrast is the first of its stage, or behind maps from bytes to bytes
   that are: their table says what mean it meets. */
int jp_augment_maps_begin(const jp_augment_at *at, const jp_augment_step *const *steps,
                          int64_t n_steps, int32_t dtype, const jp_augment_view *in);
int jp_augment_maps(const jp_augment_at *at, const jp_augment_step *const *steps,
                    int64_t n_steps, const jp_augment_view *in, const jp_augment_view *out,
                    int64_t first, int64_t last);

JP_INLINE int64_t jp_augment_item(int32_t dtype) {
    return dtype == JP_U8 ? 1 : dtype == JP_U16 ? 2 : 4;
}

JP_INLINE uint8_t *jp_augment_row(const jp_augment_view *view, int64_t y) {
    return view->data + (y - view->first_row) * view->row_stride;
}

/* Whether the rows of a packed view follow each other without gaps. */
JP_INLINE int jp_augment_whole(const jp_augment_view *view) {
    return view->row_stride == view->width * view->pixel_stride;
}

JP_INLINE const double *jp_augment_parameters(const jp_augment_at *at) {
    return at->step->parameters + at->image * at->step->n_parameters;
}

/* Key of Philox4x32 for the pixels of one image in one operation: of the same stream as the
   operation's uniforms, far beyond them. Words 0 and 1 are the key, words 2 and 3 end the counter,
   which begins with words of the kernel's own. */
JP_INLINE void jp_augment_key(const jp_augment_at *at, uint32_t key[4]) {
    const jp_augment_program *p = at->program;
    const jp_philox64 block = jp_philox4x64(
        (uint64_t)p->indices[at->image], (uint64_t)p->epoch, (uint64_t)at->step->position,
        UINT64_C(1) << 32, p->seed, JP_STAGE_AUGMENT);
    key[0] = (uint32_t)block.word[0];
    key[1] = (uint32_t)(block.word[0] >> 32);
    key[2] = (uint32_t)block.word[1];
    key[3] = (uint32_t)(block.word[1] >> 32);
}

#endif
