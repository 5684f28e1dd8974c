/* Lanes of two vectors in another order; index counts those of `a`, then those of `b`. */
#ifndef JP_SHUFFLE_H
#define JP_SHUFFLE_H

#if defined(__clang__)
/* Its builtin wants literals. Once the loop is unrolled, indices that are constant become one
   shuffle all the same. */
#define JP_SHUFFLE(a, b, index)                                                                   \
    __extension__({                                                                               \
        const __typeof__(a) a_ = (a), b_ = (b);                                                   \
        const __typeof__(index) at_ = (index);                                                    \
        enum { N_ = sizeof(a_) / sizeof(a_[0]) };                                                 \
        __typeof__(+(a)) picked_;                                                                 \
        _Pragma("clang loop unroll(full)")                                                        \
        for (int k_ = 0; k_ < N_; k_++)                                                           \
            picked_[k_] = (at_[k_] & N_) ? b_[at_[k_] & (N_ - 1)] : a_[at_[k_] & (N_ - 1)];       \
        picked_;                                                                                  \
    })
#else
#define JP_SHUFFLE(a, b, index) __builtin_shuffle(a, b, index)
#endif

#endif
