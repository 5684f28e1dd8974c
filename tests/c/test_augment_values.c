/* Kernels that change values: lanes equal loops, tiles equal wholes, and no program of steps reads or
   writes beyond its images (buffers are of exactly their size, for the address sanitizer). */
#include "augment_filter.h"
#include "augment_noise.h"
#include "philox_lanes.h"
#include "table_lanes.h"

#include "check.h"
#include "draw.h"

#include <string.h>

static void test_lanes_of_philox_are_philox(void) {
    const uint32_t key[4] = {1, 0xffffffff, 3, 0x80000000};
    uint64_t pairs[7 * 16];
    jp_philox_fill(key, 9, (1 << 29) - 3, 7, pairs); /* counters wrap around */
    for (uint32_t i = 0; i < 7 * 8; i++) {
        const uint32_t counter = ((1u << 29) - 3) * 8 + i;
        const jp_philox32 r = jp_philox4x32(counter, 9, key[2], key[3], key[0], key[1]);
        const uint64_t *pair = pairs + i / 8 * 16 + i % 8;
        CHECK(pair[0] == ((uint64_t)r.word[1] << 32 | r.word[0]));
        CHECK(pair[8] == ((uint64_t)r.word[3] << 32 | r.word[2]));
    }
}

JP_CLONES
static void look_up(const uint8_t *x, const uint8_t *table, int64_t n, uint8_t *out) {
    jp_look_up(x, table, n, out);
}

static void test_lanes_of_a_table_are_the_table(void) {
    uint8_t table[256];
    for (int v = 0; v < 256; v++) table[v] = (uint8_t)(v * 77 + 13);
    for (int64_t n = 0; n < 700; n += 37) {
        uint8_t *x = allocate((size_t)n), *out = allocate((size_t)n);
        for (int64_t i = 0; i < n; i++) x[i] = (uint8_t)(i * 31 + n);
        look_up(x, table, n, out);
        for (int64_t i = 0; i < n; i++) CHECK(out[i] == table[x[i]]);
        free(x), free(out);
    }
}

/* Parts of the columns are the law to 2^-15, and what is left over completes it. */
static void test_the_noise_table_holds_the_law(void) {
    static jp_noise_table t;
    const double sigmas[] = {1e-3, 0.2, 1, 10, 16, 40, 200, 1e6};
    for (int s = 0; s < 8; s++) {
        double mass[256] = {0}, before = 0;
        jp_noise_tabulate(sigmas[s], &t);
        for (int k = 0; k < 256; k++) {
            const int keep = t.column[k] & 255, other = t.column[k] >> 8;
            CHECK(keep < 128);
            mass[k] += keep / 32768.0;
            mass[other] += (128 - keep) / 32768.0;
        }
        CHECK_CLOSE(mass[255], t.left_over[255], 1e-12);
        for (int k = 0; k < 256; k++) {
            const double over = t.left_over[k] - (k ? t.left_over[k - 1] : 0);
            const double below = k == 255 ? 1 : erf((k + 0.5) / (sigmas[s] * sqrt(2.0)));
            CHECK_CLOSE((k == 255 ? 0 : mass[k]) + over, below - before, 1e-13);
            before = below;
        }
    }
}

static void test_noise_by_spans_is_noise(void) {
    enum { N = 5000 };
    static jp_noise_table t;
    const uint32_t key[4] = {5, 6, 7, 8};
    uint8_t *x = allocate(N), *whole = allocate(N), *parts = allocate(N);
    for (int i = 0; i < N; i++) x[i] = (uint8_t)draw_below(256);
    jp_noise_tabulate(12, &t);
    CHECK(jp_noise_u8(x, 0, N, &t, key, whole) == JP_OK);
    for (int64_t i = 0, n; i < N; i += n) {
        n = 1 + draw_below(300);
        if (n > N - i) n = N - i;
        CHECK(jp_noise_u8(x + i, i, n, &t, key, parts + i) == JP_OK);
    }
    CHECK(memcmp(whole, parts, N) == 0);
    CHECK(jp_noise_u8(x, INT64_C(1) << 33, 1, &t, key, parts) == JP_ERR_SIZE);
    free(x), free(whole), free(parts);
}

/* FNV-1a of results: every instruction set must give these bytes (see same_pixels in run). */
static uint64_t hash = UINT64_C(1469598103934665603);

static void add_to_hash(const void *bytes, int64_t n) {
    for (int64_t i = 0; i < n; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(1099511628211);
}

static void *random_image(int32_t dtype, int64_t n) {
    void *image = allocate((size_t)(n * jp_augment_item(dtype)));
    for (int64_t i = 0; i < n; i++) {
        const double v = draw_uniform();
        if (dtype == JP_U8) ((uint8_t *)image)[i] = (uint8_t)(v * 256);
        else if (dtype == JP_U16) ((uint16_t *)image)[i] = (uint16_t)(v * 65536);
        else ((float *)image)[i] = (float)v;
    }
    return image;
}

static void add_one(const float *x, float *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] + 1;
}

/* A step of some kind with parameters of its domain; sizes are those of what it makes. */
static jp_augment_step some_step(int32_t dtype, int32_t channels, int64_t height, int64_t width,
                                 double *p, int64_t *sizes, const void *shared) {
    static const int32_t kinds[] = {
        JP_AUGMENT_RESIZE, JP_AUGMENT_BLUR, JP_AUGMENT_ERASE, JP_AUGMENT_NOISE, JP_AUGMENT_SHOT,
        JP_AUGMENT_COLOUR, JP_AUGMENT_BRIGHTNESS, JP_AUGMENT_CONTRAST, JP_AUGMENT_GAMMA,
        JP_AUGMENT_FUNCTION, JP_AUGMENT_AFFINE};
    int32_t kind = kinds[draw_below(11)];
    if (kind == JP_AUGMENT_COLOUR && channels != 3) kind = JP_AUGMENT_NOISE;
    jp_augment_step step = {.kind = kind, .dtype = dtype, .channels = channels, .n_parameters = 32,
                            .parameters = p, .shared = shared};
    for (int k = 0; k < 32; k++) p[k] = draw_between(0.1, 2);
    if (kind == JP_AUGMENT_FUNCTION) step.shared = (const char *)shared + 16 * sizeof(double);
    if (kind == JP_AUGMENT_AFFINE) step.dtype = JP_F32;
    if (kind == JP_AUGMENT_NOISE || kind == JP_AUGMENT_BRIGHTNESS) p[0] *= 10;
    if (kind == JP_AUGMENT_BLUR) step.options[0] = (int32_t)draw_below(5);
    if (kind == JP_AUGMENT_COLOUR) step.options[0] = (int32_t)draw_below(3);
    if (kind == JP_AUGMENT_COLOUR && step.options[0] == 1) p[0] = draw_uniform();
    if (kind == JP_AUGMENT_ERASE) {
        p[0] = (double)draw_below(height), p[1] = (double)draw_below(width);
        p[2] = p[0] + (double)draw_below(height - (int64_t)p[0] + 1);
        p[3] = p[1] + (double)draw_below(width - (int64_t)p[1] + 1);
    }
    if (kind == JP_AUGMENT_RESIZE) {
        step.options[0] = (int32_t)draw_below(3);
        sizes[0] = 1 + draw_below(40), sizes[1] = 1 + draw_below(40);
        step.sizes = sizes;
    }
    return step;
}

static void some_program(void) {
    enum { STEPS = 5 };
    static double parameters[STEPS][32], fill[17] = {3, 2, 1};
    void (*function)(const float *, float *, int64_t) = add_one;
    jp_augment_step steps[STEPS];
    int64_t sizes[STEPS][2], height = 1 + draw_below(40), width = 1 + draw_below(40);
    const int64_t index = draw_below(1000), n_steps = 1 + draw_below(STEPS);
    const int32_t channels = (int32_t)(1 + draw_below(16)), dtype = (int32_t)draw_below(3);
    const jp_augment_place in = {(int64_t)(uintptr_t)random_image(dtype, height * width * channels),
                                 height, width, width * channels * jp_augment_item(dtype),
                                 channels * jp_augment_item(dtype), jp_augment_item(dtype)};
    memcpy(fill + 16, &function, sizeof function);
    int32_t type = dtype;
    for (int64_t s = 0; s < n_steps; s++) {
        steps[s] = some_step(type, channels, height, width, parameters[s], sizes[s], fill);
        steps[s].position = (int32_t)s;
        type = steps[s].dtype;
        if (steps[s].sizes) height = sizes[s][0], width = sizes[s][1];
    }
    const int64_t item = jp_augment_item(type), bytes = height * width * channels * item;
    void *result = allocate((size_t)bytes);
    const jp_augment_place out = {(int64_t)(uintptr_t)result, height, width, width * channels * item,
                                  channels * item, item};
    const jp_augment_program program = {1, n_steps, steps, &in, &out, &index, 0, 1, dtype, channels};
    uint8_t *scratch = allocate((size_t)jp_augment_scratch(&program));
    CHECK(jp_augment_run(&program, 0, 1, scratch) == JP_OK);
    int exact = 1; /* powers of floats are the C library's, which may choose by CPU */
    for (int64_t s = 0; s < n_steps; s++) exact &= steps[s].kind != JP_AUGMENT_GAMMA;
    if (type == JP_U8 && exact) add_to_hash(result, bytes);
    free((void *)(uintptr_t)in.address), free(result), free(scratch);
}

int main(void) {
    test_lanes_of_philox_are_philox();
    test_lanes_of_a_table_are_the_table();
    test_the_noise_table_holds_the_law();
    test_noise_by_spans_is_noise();
    for (int i = 0; i < 400; i++) some_program();
    printf("augment_values %016llx\n", (unsigned long long)hash);
    return 0;
}
