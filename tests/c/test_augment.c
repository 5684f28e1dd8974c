/* Programs of geometric steps, under the sanitizers: memory of exactly the size of the images. */
#include <string.h>

#include "augment.h"
#include "check.h"
#include "draw.h"

enum { N_IMAGES = 2 };

typedef struct {
    int64_t height, width, out_height, out_width, channels;
    int32_t dtype, border, interpolation;
} problem;

static double fill[JP_AUGMENT_CHANNELS] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static void fill_pixels(uint8_t *pixels, int64_t n, int32_t dtype) {
    for (int64_t i = 0; i < n; i++) {
        const double v = draw_between(0, 255);
        const float real = (float)v;
        const uint16_t wide = (uint16_t)v;
        if (dtype == JP_U8) pixels[i] = (uint8_t)v;
        else if (dtype == JP_U16) memcpy(pixels + 2 * i, &wide, 2);
        else memcpy(pixels + 4 * i, &real, 4);
    }
}

static double value(const uint8_t *pixels, int64_t i, int32_t dtype) {
    float real;
    uint16_t wide;
    if (dtype == JP_U8) return pixels[i];
    if (dtype == JP_U16) return memcpy(&wide, pixels + 2 * i, 2), wide;
    return memcpy(&real, pixels + 4 * i, 4), real;
}

static void place(jp_augment_place *places, uint8_t *pixels, int64_t height, int64_t width,
                  int64_t channels, int32_t dtype) {
    const int64_t item = jp_augment_item(dtype), pixel = item * channels;
    for (int64_t i = 0; i < N_IMAGES; i++)
        places[i] = (jp_augment_place){
            (int64_t)(uintptr_t)(pixels + i * height * width * pixel), height, width,
            width * pixel, pixel, item};
}

/* Runs one geometric step with these parameters; the caller frees. */
static uint8_t *run(const problem *q, uint8_t *pixels, const double *parameters, int status) {
    const int64_t item = jp_augment_item(q->dtype);
    const int64_t n = N_IMAGES * q->out_height * q->out_width * q->channels;
    const int64_t sizes[2 * N_IMAGES] = {q->out_height, q->out_width, q->out_height,
                                         q->out_width};
    const int64_t indices[N_IMAGES] = {0, 1};
    jp_augment_place from[N_IMAGES], to[N_IMAGES];
    uint8_t *out = allocate((size_t)(n * item));
    place(from, pixels, q->height, q->width, q->channels, q->dtype);
    place(to, out, q->out_height, q->out_width, q->channels, q->dtype);
    const jp_augment_step step = {
        .kind = JP_AUGMENT_GEOMETRY, .dtype = q->dtype, .channels = (int32_t)q->channels,
        .options = {q->border, q->interpolation}, .n_parameters = 10, .parameters = parameters,
        .sizes = sizes, .shared = fill};
    const jp_augment_program program = {N_IMAGES, 1, &step, from, to, indices, 0, 1, q->dtype,
                                        (int32_t)q->channels};
    uint8_t *scratch = allocate((size_t)jp_augment_scratch(&program));
    CHECK(jp_augment_run(&program, 0, N_IMAGES, scratch) == status);
    free(scratch);
    return out;
}

static problem any_problem(void) {
    return (problem){1 + draw_below(20), 1 + draw_below(40), 1 + draw_below(20),
                     1 + draw_below(300), 1 + draw_below(JP_AUGMENT_CHANNELS),
                     (int32_t)draw_below(3), (int32_t)draw_below(5), (int32_t)draw_below(2)};
}

/* Any matrix, any window: nothing is read or written outside, and values stay between those of
   the source and the fill. */
static void test_any_warp(void) {
    for (int trial = 0; trial < 400; trial++) {
        const problem q = any_problem();
        const int64_t n = N_IMAGES * q.height * q.width * q.channels;
        uint8_t *pixels = allocate((size_t)(n * jp_augment_item(q.dtype)));
        double parameters[N_IMAGES * 10];
        fill_pixels(pixels, n, q.dtype);
        for (int64_t i = 0; i < N_IMAGES; i++) {
            double *p = parameters + 10 * i;
            const int whole = trial % 3 == 0;
            for (int k = 0; k < 6; k++) p[k] = draw_between(-2, 2);
            p[2] = draw_between(-10, 30), p[5] = draw_between(-10, 30);
            if (trial % 3 == 1) p[1] = p[3] = 0;
            if (whole) {
                const int turned = (int)draw_below(2), a = draw_below(2) ? 1 : -1,
                          b = draw_below(2) ? 1 : -1;
                p[0] = turned ? 0 : a, p[1] = turned ? a : 0, p[2] = floor(p[2]);
                p[3] = turned ? b : 0, p[4] = turned ? 0 : b, p[5] = floor(p[5]);
            }
            p[6] = (double)draw_below(q.width), p[7] = (double)draw_below(q.height);
            p[8] = p[6] + 1 + (double)draw_below(q.width - (int64_t)p[6]);
            p[9] = p[7] + 1 + (double)draw_below(q.height - (int64_t)p[7]);
        }
        uint8_t *out = run(&q, pixels, parameters, JP_OK);
        for (int64_t i = 0; i < N_IMAGES * q.out_height * q.out_width * q.channels; i++) {
            const double v = value(out, i, q.dtype);
            CHECK(v >= 0 && v <= 255.001);
        }
        free(pixels);
        free(out);
    }
}

static void test_identity_and_flip(void) {
    problem q = {7, 23, 7, 23, 3, JP_U8, JP_BORDER_CONSTANT, JP_BILINEAR};
    uint8_t pixels[N_IMAGES * 7 * 23 * 3];
    double parameters[20] = {1, 0, 0, 0, 1, 0, 0, 0, 23, 7, -1, 0, 22, 0, 1, 0, 0, 0, 23, 7};
    fill_pixels(pixels, sizeof pixels, JP_U8);
    uint8_t *out = run(&q, pixels, parameters, JP_OK);
    CHECK(memcmp(out, pixels, sizeof pixels / 2) == 0);
    for (int y = 0; y < 7; y++)
        for (int x = 0; x < 23; x++)
            for (int c = 0; c < 3; c++)
                CHECK(out[((7 + y) * 23 + x) * 3 + c] == pixels[((7 + y) * 23 + 22 - x) * 3 + c]);
    free(out);
}

static void test_refusals(void) {
    problem q = {4, 4, 4, 4, 1, JP_U8, JP_BORDER_CONSTANT, JP_BILINEAR};
    uint8_t pixels[N_IMAGES * 16] = {0};
    double far[20] = {1, 0, 1e12, 0, 1, 0.5, 0, 0, 4, 4}, window[20] = {1, 0, 0, 0, 1, 0, 0, 0, 5, 4};
    double nan_matrix[20] = {NAN, 0, 0, 0, 1, 0, 0, 0, 4, 4};
    free(run(&q, pixels, far, JP_ERR_VALUE));
    free(run(&q, pixels, window, JP_ERR_SIZE));
    free(run(&q, pixels, nan_matrix, JP_ERR_VALUE));
}

static void test_uniforms_are_keyed(void) {
    const int64_t indices[3] = {7, 7, 8};
    double u[3 * 5], v[3 * 2];
    jp_augment_uniforms(1, 2, 3, indices, 3, 5, u);
    jp_augment_uniforms(1, 2, 3, indices, 3, 2, v);
    for (int k = 0; k < 5; k++) {
        CHECK(u[k] >= 0 && u[k] < 1);
        CHECK(u[k] == u[5 + k] && u[k] != u[10 + k]);
    }
    CHECK(v[0] == u[0] && v[5] == u[11]);
}

int main(void) {
    test_identity_and_flip();
    test_any_warp();
    test_refusals();
    test_uniforms_are_keyed();
    puts("augment: passed");
    return 0;
}
