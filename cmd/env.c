#include "verbs.h"
int env_run(const struct args *a)
{
    (void)a;
    return 0;
}
