#include "machine.h"

/* As the loader decides between the clones of JP_CLONES. */
int jp_cpu_level(void)
{
#if JP_HAS_CLONES
    __builtin_cpu_init();
    return __builtin_cpu_supports("x86-64-v4") ? 4 : __builtin_cpu_supports("x86-64-v3") ? 3 : 1;
#else
    return 0;
#endif
}
