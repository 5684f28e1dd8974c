/* A small random latent tree, its evidence, and its answers by adding up every hidden path. */
#ifndef JP_TEST_TREE_H
#define JP_TEST_TREE_H

#include <string.h>

#include "check.h"
#include "draw.h"
#include "joint.h"

enum { N_BLOCKS = 4, GAUSSIANS = 3, MAX_STATES = 24, MAX_LEVELS = 8, N_CODES = 5 };

/* 0 - 1 - 3 and 0 - 2: an inner block, a childless one that answers by table, and Gaussians. */
static const int64_t tree_parent[N_BLOCKS] = {-1, 0, 0, 1};
static const int64_t tree_code_column[N_BLOCKS] = {3, 0, 4, -1};

typedef struct {
    jp_tree tree;
    int64_t n_states[N_BLOCKS], n_cells[N_BLOCKS], n_levels[N_BLOCKS];
    int64_t transition_at[N_BLOCKS], emission_at[N_BLOCKS], cell_at[N_BLOCKS];
    int64_t message_at[N_BLOCKS], leaf_at[N_BLOCKS];
    int64_t n_transition, n_emission, n_cell, n_message, n_total;
    int64_t state_at[N_BLOCKS];
    int32_t *cell;
    float unseen[N_BLOCKS];
} problem;

typedef struct {
    jp_evidence evidence;
    int64_t n_rows;
    int32_t *codes;
    int64_t *rows;
    float *leaf;
} observed;

static inline void *zeros(int64_t n, size_t size) {
    void *memory = allocate((size_t)n * size);
    memset(memory, 0, (size_t)n * size);
    return memory;
}

static inline int64_t parent_states(const problem *p, int64_t b) {
    return b ? p->n_states[tree_parent[b]] : 1;
}

static inline int64_t width_of(const problem *p, int64_t b) {
    return p->n_states[b] / p->n_cells[b];
}

/* Each row of a table (n, m) becomes a distribution. */
static inline void draw_distributions(float *table, int64_t n, int64_t m) {
    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
        for (int64_t j = 0; j < m; j++)
            sum += table[i * m + j] = (float)draw_between(0.01, 1);
        for (int64_t j = 0; j < m; j++) table[i * m + j] /= sum;
    }
}

static inline void place_blocks(problem *p) {
    p->n_transition = p->n_emission = p->n_cell = p->n_message = p->n_total = 0;
    for (int64_t b = 0; b < N_BLOCKS; b++) {
        p->transition_at[b] = p->n_transition;
        p->n_transition += parent_states(p, b) * p->n_states[b];
        p->emission_at[b] = p->n_emission;
        p->n_emission += p->n_levels[b] * width_of(p, b);
        p->cell_at[b] = p->n_cell;
        p->n_cell += p->n_levels[b];
        p->message_at[b] = b == 2 ? 0 : -1;
        p->state_at[b] = p->n_total;
        p->n_total += p->n_states[b];
        p->leaf_at[b] = b == GAUSSIANS ? 1 : -1;
    }
    p->n_message = p->n_levels[2] * parent_states(p, 2);
}

/* Cells (2, 2, 3) of `width` states; the last cell takes `extra` levels more than one. */
static inline void draw_problem(problem *p, int64_t width, int64_t extra, int64_t n_gaussians) {
    static const int64_t cells[N_BLOCKS] = {2, 2, 3, 1};
    for (int64_t b = 0; b < N_BLOCKS; b++) {
        p->n_cells[b] = cells[b];
        p->n_states[b] = b == GAUSSIANS ? n_gaussians : cells[b] * width;
        p->n_levels[b] = b == GAUSSIANS ? 0 : cells[b] + extra;
        p->unseen[b] = b == GAUSSIANS ? 1 : 0.01f * (float)(b + 1);
        CHECK(p->n_states[b] <= MAX_STATES && p->n_levels[b] <= MAX_LEVELS);
    }
    place_blocks(p);
    p->cell = zeros(p->n_cell, sizeof(int32_t));
    p->tree = (jp_tree){N_BLOCKS, tree_parent, p->n_states, p->n_cells, p->n_levels,
                        p->transition_at, p->emission_at, p->cell_at, p->message_at, p->cell,
                        zeros(p->n_transition, sizeof(float)), zeros(p->n_transition, sizeof(float)),
                        zeros(p->n_emission, sizeof(float)), p->unseen,
                        zeros(p->n_message, sizeof(float))};
    for (int64_t b = 0; b < N_BLOCKS; b++) {
        for (int64_t v = 0; v < p->n_levels[b]; v++)
            p->cell[p->cell_at[b] + v] = (int32_t)(v < cells[b] ? v : cells[b] - 1);
        draw_distributions(p->tree.transition + p->transition_at[b], parent_states(p, b),
                           p->n_states[b]);
    }
    for (int64_t e = 0; e < p->n_emission; e++)
        p->tree.emission[e] = extra ? (float)draw_between(0.05, 0.9) : 1;
    CHECK(jp_tree_derive(&p->tree, 0, N_BLOCKS) == JP_OK);
}

static inline void free_problem(problem *p) {
    free(p->cell), free(p->tree.transition), free(p->tree.transposed);
    free(p->tree.emission), free(p->tree.message);
}

/* Levels, missing and unseen; row i of the call reads row n - 1 - i of the codes. */
static inline observed observe(const problem *p, int64_t n_rows) {
    observed o = {.n_rows = n_rows};
    const int64_t n_leaf = p->n_states[GAUSSIANS] + 2;
    o.codes = allocate(sizeof(int32_t) * (size_t)(n_rows * N_CODES));
    o.rows = allocate(sizeof(int64_t) * (size_t)n_rows);
    o.leaf = zeros(n_rows * n_leaf, sizeof(float));
    for (int64_t e = 0; e < n_rows * N_CODES; e++) o.codes[e] = 99;
    for (int64_t i = 0; i < n_rows; i++) {
        o.rows[i] = n_rows - 1 - i;
        for (int64_t b = 0; b < GAUSSIANS; b++) {
            const double u = draw_uniform();
            o.codes[i * N_CODES + tree_code_column[b]] =
                u < 0.25 ? -1 : u < 0.3 ? -2 : (int32_t)draw_below(p->n_levels[b]);
        }
        for (int64_t s = 0; s < p->n_states[GAUSSIANS]; s++)
            o.leaf[i * n_leaf + 1 + s] =
                s == i % p->n_states[GAUSSIANS] ? 1 : (float)draw_between(0.001, 1);
    }
    o.evidence = (jp_evidence){o.codes, N_CODES, tree_code_column, o.rows, o.leaf, n_leaf,
                               p->leaf_at};
    return o;
}

static inline void free_observed(observed *o) { free(o->codes), free(o->rows), free(o->leaf); }

static inline int32_t code_of(const observed *o, int64_t i, int64_t b) {
    return o->codes[o->rows[i] * N_CODES + tree_code_column[b]];
}

/* P(own cells of block b | state s) of row i. */
static inline double own_likelihood(const problem *p, const observed *o, int64_t i, int64_t b,
                                    int64_t s) {
    if (b == GAUSSIANS)
        return (double)o->leaf[i * o->evidence.n_leaf + p->leaf_at[b] + s];
    const int32_t code = code_of(o, i, b);
    if (code < 0) return code == -2 ? (double)p->unseen[b] : 1;
    const int64_t w = width_of(p, b), begin = p->cell[p->cell_at[b] + code] * w;
    if (s < begin || s >= begin + w) return 0;
    return (double)p->tree.emission[p->emission_at[b] + code * w + s - begin];
}

/* One row's answers, over every path z of hidden states. */
typedef struct {
    double total;                                      /* p(row) */
    double posterior[N_BLOCKS][MAX_STATES];            /* P(z_b | row) */
    double cavity[N_BLOCKS][MAX_STATES];               /* P(z_b | row without block b's cells) */
    double pair[N_BLOCKS][MAX_STATES][MAX_STATES];     /* P(z_parent, z_b | row) */
} enumerated;

static inline void add_path(const problem *p, const int64_t *z,
                            double own[N_BLOCKS][MAX_STATES], enumerated *e) {
    double path = 1;
    for (int64_t b = 0; b < N_BLOCKS; b++) {
        const int64_t from = b ? z[tree_parent[b]] : 0;
        path *= (double)p->tree.transition[p->transition_at[b] + from * p->n_states[b] + z[b]];
    }
    for (int64_t b = 0; b < N_BLOCKS; b++) {
        double others = path;
        for (int64_t c = 0; c < N_BLOCKS; c++) others *= c == b ? 1 : own[c][z[c]];
        e->cavity[b][z[b]] += others;
    }
    for (int64_t b = 0; b < N_BLOCKS; b++) path *= own[b][z[b]];
    e->total += path;
    for (int64_t b = 0; b < N_BLOCKS; b++) {
        e->posterior[b][z[b]] += path;
        e->pair[b][b ? z[tree_parent[b]] : 0][z[b]] += path;
    }
}

static inline void scale_answers(const problem *p, enumerated *e) {
    for (int64_t b = 0; b < N_BLOCKS; b++) {
        double rest = 0;
        for (int64_t s = 0; s < p->n_states[b]; s++) rest += e->cavity[b][s];
        for (int64_t s = 0; s < p->n_states[b]; s++) {
            e->cavity[b][s] /= rest > 0 ? rest : 1;
            e->posterior[b][s] /= e->total > 0 ? e->total : 1;
            for (int64_t r = 0; r < parent_states(p, b); r++)
                e->pair[b][r][s] /= e->total > 0 ? e->total : 1;
        }
    }
}

static inline enumerated enumerate(const problem *p, const observed *o, int64_t i) {
    enumerated e = {0};
    double own[N_BLOCKS][MAX_STATES];
    int64_t z[N_BLOCKS];
    for (int64_t b = 0; b < N_BLOCKS; b++)
        for (int64_t s = 0; s < p->n_states[b]; s++) own[b][s] = own_likelihood(p, o, i, b, s);
    for (z[0] = 0; z[0] < p->n_states[0]; z[0]++)
        for (z[1] = 0; z[1] < p->n_states[1]; z[1]++)
            for (z[2] = 0; z[2] < p->n_states[2]; z[2]++)
                for (z[3] = 0; z[3] < p->n_states[3]; z[3]++) add_path(p, z, own, &e);
    scale_answers(p, &e);
    return e;
}

#endif
