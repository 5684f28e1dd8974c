/* Runs a program over a range of images: splits each image's steps into stages and bands. */
#include "augment.h"

#include <string.h>

#include "augment_stream.h"

enum { BAND_BYTES = 16384, MAX_CHAINS = 3, MAX_STEPS = JP_AUGMENT_STEPS + 2, SLACK = 64 };
enum { FLOOD_BYTES = 1 << 22 };    /* more output than this is not kept in caches */

typedef struct {
    jp_augment_rows *rows;     /* NULL: a map, done by jp_augment_maps */
    int local;
    int needs_image;           /* a map that measures its whole input first */
    int alone;                 /* a stage of its own: bands would do work twice */
    jp_augment_room *room;     /* NULL: none */
} kind_of_step;

static kind_of_step kind_of(const jp_augment_step *step) {
    switch (step->kind) {
    case JP_AUGMENT_COPY: return (kind_of_step){.rows = jp_augment_copy, .local = 1};
    case JP_AUGMENT_GEOMETRY: return (kind_of_step){.rows = jp_augment_geometry};
    case JP_AUGMENT_RESIZE:
        return (kind_of_step){.rows = jp_augment_resize, .room = jp_augment_resize_room};
    case JP_AUGMENT_BLUR:
        return (kind_of_step){.rows = jp_augment_blur, .room = jp_augment_blur_room, .alone = 1};
    case JP_AUGMENT_ERASE: return (kind_of_step){.rows = jp_augment_erase, .local = 1};
    case JP_AUGMENT_MIX: return (kind_of_step){.rows = jp_augment_mix, .local = 1};
    case JP_AUGMENT_NOISE:
        return (kind_of_step){.rows = jp_augment_noise, .local = 1, .room = jp_augment_noise_room};
    case JP_AUGMENT_SHOT:
        return (kind_of_step){.rows = jp_augment_shot, .local = 1, .room = jp_augment_shot_room};
    case JP_AUGMENT_COLOUR: return (kind_of_step){.rows = jp_augment_colour, .local = 1};
    case JP_AUGMENT_CONTRAST: return (kind_of_step){.local = 1, .needs_image = 1};
    default: return (kind_of_step){.local = 1}; /* a map */
    }
}

static int is_map(const jp_augment_step *step) {
    return step->kind >= JP_AUGMENT_MAPS && step->kind < JP_AUGMENT_MAPS_END;
}

/* Steps of a stage that run as one: a chain of maps, or a step of another kind. */
typedef struct {
    const jp_augment_step *const *steps;
    int64_t n_steps;
    jp_augment_at at;
} element;

typedef struct {
    int64_t image_bytes, row_bytes;    /* the largest of any step */
    int64_t output_bytes;              /* of all images */
    int64_t step_bytes[JP_AUGMENT_STEPS];
    uint8_t *image[2], *band[2], *state, *step[JP_AUGMENT_STEPS];
} rooms;

static int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t rounded(int64_t bytes) { return (bytes + SLACK + 63) / 64 * 64; }

static void measure(const jp_augment_program *p, rooms *room) {
    memset(room, 0, sizeof *room);
    for (int64_t i = 0; i < p->n_images; i++) {
        int64_t height = p->images[i].height, width = p->images[i].width;
        int64_t pixel = p->channels * jp_augment_item(p->dtype);
        for (int64_t s = 0; s <= p->n_steps; s++) {
            room->row_bytes = at_least(room->row_bytes, width * pixel);
            room->image_bytes = at_least(room->image_bytes, height * width * pixel);
            if (s == p->n_steps) {
                room->output_bytes += height * width * pixel;
                break;
            }
            const jp_augment_step *step = p->steps + s;
            jp_augment_room *wanted = kind_of(step).room;
            if (wanted != NULL)
                room->step_bytes[s] = at_least(
                    room->step_bytes[s], wanted(step, i, height, width, step->channels));
            pixel = step->channels * jp_augment_item(step->dtype);
            if (step->sizes != NULL && (step->active == NULL || step->active[i])) {
                height = step->sizes[2 * i];
                width = step->sizes[2 * i + 1];
            }
        }
    }
}

int64_t jp_augment_scratch(const jp_augment_program *p) {
    rooms room;
    int64_t of_steps = 0;
    measure(p, &room);
    for (int64_t s = 0; s < p->n_steps; s++) of_steps += rounded(room.step_bytes[s]);
    return of_steps + 2 * rounded(room.image_bytes) + 2 * rounded(at_least(BAND_BYTES, room.row_bytes))
           + MAX_CHAINS * rounded(JP_AUGMENT_STATE) + 64;
}

static void furnish(rooms *room, int64_t n_steps, uint8_t *scratch) {
    scratch += -(uintptr_t)scratch & 63;
    for (int k = 0; k < 2; k++, scratch += rounded(room->image_bytes)) room->image[k] = scratch;
    for (int k = 0; k < 2; k++, scratch += rounded(at_least(BAND_BYTES, room->row_bytes)))
        room->band[k] = scratch;
    room->state = scratch;
    scratch += MAX_CHAINS * rounded(JP_AUGMENT_STATE);
    for (int64_t s = 0; s < n_steps; scratch += rounded(room->step_bytes[s++])) {
        room->step[s] = scratch;
        if (room->step_bytes[s] > 0) memset(scratch, 0, SLACK);
    }
}

static jp_augment_view packed(uint8_t *data, int64_t height, int64_t width, int32_t dtype,
                              int32_t channels) {
    const int64_t item = jp_augment_item(dtype), pixel = item * channels;
    return (jp_augment_view){data,  height, width, width * pixel, pixel,
                             item,  0,      dtype, channels,      0};
}

static jp_augment_view placed(const jp_augment_place *place, int32_t dtype, int32_t channels) {
    return (jp_augment_view){(uint8_t *)(uintptr_t)place->address, place->height, place->width,
                             place->row_stride, place->pixel_stride, place->channel_stride,
                             0, dtype, channels, 0};
}

/* And its values aligned: kernels but the copy read and write them as what they are. */
static int is_packed(const jp_augment_view *view) {
    const int64_t item = jp_augment_item(view->dtype);
    return view->pixel_stride == item * view->channels && view->channel_stride == item
        && (intptr_t)view->data % item == 0 && view->row_stride % item == 0;
}

/* What a step makes of `in`, without data. */
static jp_augment_view shaped(const jp_augment_step *step, int64_t image,
                              const jp_augment_view *in) {
    const int64_t *size = step->sizes == NULL ? NULL : step->sizes + 2 * image;
    return packed(NULL, size ? size[0] : in->height, size ? size[1] : in->width, step->dtype,
                  step->channels);
}

/* Steps in use for an image, between a copy that packs its input and one that unpacks its output
   where they are strided. The copies are kept in `copies`. */
static int64_t list_steps(const jp_augment_program *p, int64_t image, const jp_augment_view *in,
                          const jp_augment_view *out, jp_augment_step copies[2],
                          const jp_augment_step *list[MAX_STEPS]) {
    int64_t n = 0;
    copies[0] = (jp_augment_step){.kind = JP_AUGMENT_COPY, .dtype = in->dtype,
                                  .channels = in->channels};
    copies[1] = (jp_augment_step){.kind = JP_AUGMENT_COPY, .dtype = out->dtype,
                                  .channels = out->channels};
    if (!is_packed(in)) list[n++] = copies;
    for (int64_t s = 0; s < p->n_steps; s++)
        if (p->steps[s].active == NULL || p->steps[s].active[image]) list[n++] = p->steps + s;
    if (!is_packed(out) || n == 0) list[n++] = copies + 1;
    return n;
}

/* Steps of the chain of maps that begins at list[0]; `known`: what goes in are the bytes of a whole
   image, so that a step may measure what a table will make of them. */
static int64_t cut_chain(const jp_augment_step *const *list, int64_t n, int known) {
    int64_t s = 0;
    do known = known && list[s]->dtype == JP_U8;
    while (++s < n && is_map(list[s]) && (known || !kind_of(list[s]).needs_image));
    return s;
}

/* Elements of the stage that begins at list[0]; returns how many steps they hold. dtype: of what
   goes in. */
static int64_t cut_stage(const jp_augment_step *const *list, int64_t n, const jp_augment_at *at,
                         int32_t dtype, const rooms *room, element *elements,
                         int64_t *n_elements) {
    const jp_augment_step *steps = at->program->steps;
    int64_t s = 0, chains = 0;
    *n_elements = 0;
    while (s < n) {
        const kind_of_step kind = kind_of(list[s]);
        if (s > 0 && (!kind.local || kind.needs_image)) break;
        if (is_map(list[s]) && chains == MAX_CHAINS) break;
        element *e = elements + (*n_elements)++;
        *e = (element){list + s, 1, *at};
        e->at.step = list[s];
        e->at.state = room->state + chains * rounded(JP_AUGMENT_STATE);
        if (kind.room != NULL) e->at.room = room->step[list[s] - steps];
        if (is_map(list[s])) {
            e->n_steps = cut_chain(list + s, n - s, s == 0 && dtype == JP_U8);
            chains++;
        }
        s += e->n_steps;
        if (kind.alone) break;
    }
    return s;
}

static int run_element(const element *e, const jp_augment_view *in, const jp_augment_view *out,
                       int64_t first, int64_t last) {
    if (is_map(e->steps[0]))
        return jp_augment_maps(&e->at, e->steps, e->n_steps, in, out, first, last);
    jp_augment_rows *rows = kind_of(e->steps[0]).rows;
    return rows == NULL ? JP_ERR_VALUE : rows(&e->at, in, out, first, last);
}

/* Rows [first, last) through all elements; what is between them stays in two bands. */
static int run_band(const element *elements, int64_t n_elements, const jp_augment_view *in,
                    const jp_augment_view *out, const rooms *room, int64_t first, int64_t last) {
    jp_augment_view from = *in;
    for (int64_t k = 0; k < n_elements; k++) {
        const element *e = elements + k;
        jp_augment_view to = *out;
        if (k + 1 < n_elements) {
            to = shaped(e->steps[e->n_steps - 1], e->at.image, &from);
            to.data = room->band[k & 1];
            to.first_row = first;
        }
        const int status = run_element(e, &from, &to, first, last);
        if (status != JP_OK) return status;
        from = to;
    }
    return JP_OK;
}

static int run_stage(const element *elements, int64_t n_elements, const jp_augment_view *in,
                     const jp_augment_view *out, const rooms *room) {
    int64_t band = out->height;
    if (n_elements > 1) band = at_least(1, BAND_BYTES / at_least(1, room->row_bytes));
    for (int64_t k = 0; k < n_elements; k++) {
        const element *e = elements + k;
        const int32_t dtype = k ? elements[k - 1].steps[elements[k - 1].n_steps - 1]->dtype : in->dtype;
        if (!is_map(e->steps[0])) continue;
        const int status = jp_augment_maps_begin(&e->at, e->steps, e->n_steps, dtype, k ? NULL : in);
        if (status != JP_OK) return status;
    }
    for (int64_t y = 0; y < out->height; y += band) {
        const int64_t last = y + band < out->height ? y + band : out->height;
        const int status = run_band(elements, n_elements, in, out, room, y, last);
        if (status != JP_OK) return status;
    }
    return JP_OK;
}

static int run_image(const jp_augment_program *p, int64_t image, const rooms *room) {
    const jp_augment_step *list[MAX_STEPS], *last = p->n_steps ? p->steps + p->n_steps - 1 : NULL;
    jp_augment_step copies[2];
    element elements[MAX_STEPS];
    jp_augment_view in = placed(p->images + image, p->dtype, p->channels);
    jp_augment_view out = placed(p->outputs + image, last ? last->dtype : p->dtype,
                                 last ? last->channels : p->channels);
    out.streams = room->output_bytes > FLOOD_BYTES;
    const jp_augment_at at = {p, NULL, image, NULL, NULL};
    const int64_t n = list_steps(p, image, &in, &out, copies, list);
    for (int64_t s = 0, stage = 0, n_elements; s < n; stage++) {
        const int64_t length = cut_stage(list + s, n - s, &at, in.dtype, room, elements,
                                         &n_elements);
        jp_augment_view to = in;
        for (int64_t k = s; k < s + length; k++) to = shaped(list[k], image, &to);
        to.data = room->image[stage & 1];
        s += length;
        if (s == n) {
            if (to.height != out.height || to.width != out.width) return JP_ERR_SIZE;
            to = out;
        }
        const int status = run_stage(elements, n_elements, &in, &to, room);
        if (status != JP_OK) return status;
        in = to;
    }
    return JP_OK;
}

int jp_augment_run(const jp_augment_program *p, int64_t first, int64_t last, uint8_t *scratch) {
    rooms room;
    if (first < 0 || last > p->n_images || p->n_steps > JP_AUGMENT_STEPS) return JP_ERR_SIZE;
    measure(p, &room);
    furnish(&room, p->n_steps, scratch);
    for (int64_t image = first; image < last; image++) {
        const int status = run_image(p, image, &room);
        if (status != JP_OK) return status;
    }
    jp_augment_stream_end();
    return JP_OK;
}

int jp_augment_uniforms(uint64_t seed, int64_t epoch, int64_t position,
                        const int64_t *restrict indices, int64_t n_images, int64_t n_draws,
                        double *restrict uniforms) {
    for (int64_t i = 0; i < n_images; i++)
        for (int64_t k = 0; k < n_draws; k += 4) {
            const jp_philox64 block = jp_philox4x64(
                (uint64_t)indices[i], (uint64_t)epoch, (uint64_t)position, (uint64_t)(k / 4),
                seed, JP_STAGE_AUGMENT);
            for (int64_t j = 0; j < 4 && k + j < n_draws; j++)
                uniforms[i * n_draws + k + j] = jp_uniform(block.word[j]);
        }
    return JP_OK;
}
