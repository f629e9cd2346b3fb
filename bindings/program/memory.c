/* The program's allocator: jemalloc where it is linked, else glibc's. Any thread. */
#include "program.h"
#ifdef MT_JEMALLOC
#include <jemalloc/jemalloc.h>

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

/* Read by the library before main: memory that is not used goes back to the system also when nobody calls,
 * and what a thread keeps for itself is little, since there are hundreds. */
const char *malloc_conf = "background_thread:true,tcache_nslots_small_max:32";

void mt_memory_trim(void) {
    /* what all arenas keep; fails only where there is nothing to give back */
    mallctl("arena." TEXT_OF(MALLCTL_ARENAS_ALL) ".purge", NULL, NULL, NULL, 0);
}
#else
#include <malloc.h>

void mt_memory_trim(void) {
    malloc_trim(0);
}
#endif
