/* What the library found when it was loaded. */
#ifndef JP_MACHINE_H
#define JP_MACHINE_H

#include "jp.h"

/* Level of x86-64 (1, 3 or 4) whose clones of the kernels run; 0 where there is one build of each. */
int jp_cpu_level(void);

#endif
