/* Philox against NumPy's numbers, the published known answers, and its own fallback. */
#include "philox.h"

#include "check.h"
#include "philox_numpy.h"

static void test_4x64_is_numpys(void) {
    for (int i = 0; i < N_NUMPY_BLOCKS; i++) {
        const uint64_t *k = numpy_key[i], *c = numpy_counter[i];
        const uint64_t first = c[0] + 1;
        const uint64_t carry1 = first == 0, carry2 = carry1 && c[1] + 1 == 0;
        const uint64_t carry3 = carry2 && c[2] + 1 == 0;
        const jp_philox64 got =
            jp_philox4x64(first, c[1] + carry1, c[2] + carry2, c[3] + carry3, k[0], k[1]);
        for (int j = 0; j < 4; j++) {
            CHECK(got.word[j] == numpy_word[i][j]);
            CHECK(jp_uniform(got.word[j]) == numpy_uniform[i][j]);
        }
    }
}

/* The known answers that the authors publish with their Random123 library. */
static void test_4x32_known_answers(void) {
    static const uint32_t want[3][4] = {
        {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    const uint32_t f = 0xffffffff;
    const jp_philox32 got[3] = {
        jp_philox4x32(0, 0, 0, 0, 0, 0),
        jp_philox4x32(f, f, f, f, f, f),
        jp_philox4x32(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0),
    };
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) CHECK(got[i].word[j] == want[i][j]);
}

static void test_portable_product(void) {
    static const uint64_t edge[] = {0, 1, 0xffffffff, UINT64_C(0x100000000), UINT64_MAX};
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++)
            CHECK(jp_mulhi64_portable(edge[i], edge[j]) == jp_mulhi64(edge[i], edge[j]));
    const uint64_t key[2] = {3, 0};
    for (int64_t row = 0; row < 10000; row++) {
        const jp_philox64 r = jp_draw64(row, 0, 0, key);
        CHECK(jp_mulhi64_portable(r.word[0], r.word[1]) == jp_mulhi64(r.word[0], r.word[1]));
    }
}

static void test_draw_places_row_draw_stage(void) {
    const uint64_t key64[2] = {7, 9};
    const uint32_t key32[2] = {7, 9};
    const jp_philox64 a = jp_draw64(1, 2, 3, key64), b = jp_philox4x64(1, 2, 3, 0, 7, 9);
    const jp_philox32 c = jp_draw32(1, 2, 3, key32), d = jp_philox4x32(1, 2, 3, 0, 7, 9);
    for (int j = 0; j < 4; j++) CHECK(a.word[j] == b.word[j] && c.word[j] == d.word[j]);
}

static void test_uniform_ends(void) {
    CHECK(jp_uniform(0) == 0.0 && jp_uniform(UINT64_MAX) == 1.0 - 0x1p-53);
    CHECK(jp_uniform_open(0) == 0x1p-53 && jp_uniform_open(UINT64_MAX) == 1.0 - 0x1p-53);
    CHECK(jp_uniformf(0) == 0.0f && jp_uniformf(UINT32_MAX) == 1.0f - 0x1p-24f);
    CHECK(jp_uniformf_open(0) == 0x1p-24f && jp_uniformf_open(UINT32_MAX) == 1.0f - 0x1p-24f);
}

/* 40,000 uniforms: mean 1/2 and variance 1/12 within five standard errors. */
static void test_uniform_moments(void) {
    const uint32_t key32[2] = {11, 0};
    const uint64_t key64[2] = {11, 0};
    double sum[2] = {0, 0}, square[2] = {0, 0};
    const int n = 10000;
    for (int row = 0; row < n; row++) {
        const jp_philox32 narrow = jp_draw32((uint32_t)row, 0, 0, key32);
        const jp_philox64 wide = jp_draw64(row, 0, 0, key64);
        for (int j = 0; j < 4; j++) {
            const double u[2] = {jp_uniformf(narrow.word[j]), jp_uniform_open(wide.word[j])};
            for (int w = 0; w < 2; w++) sum[w] += u[w], square[w] += (u[w] - 0.5) * (u[w] - 0.5);
        }
    }
    for (int w = 0; w < 2; w++) {
        CHECK(fabs(sum[w] / (4 * n) - 0.5) < 5 * sqrt(1.0 / 12 / (4 * n)));
        CHECK(fabs(square[w] / (4 * n) - 1.0 / 12) < 5 * sqrt(1.0 / 180 / (4 * n)));
    }
}

int main(void) {
    test_4x64_is_numpys();
    test_4x32_known_answers();
    test_portable_product();
    test_draw_places_row_draw_stage();
    test_uniform_ends();
    test_uniform_moments();
    puts("philox: passed");
    return 0;
}
