/* The C heap of an arena: each block has its size in front. Invariant: blocks are as aligned as malloc's. The
 * thread of the execution. */
#include "bindings/vm/heap.h"
#include "bindings/vm/internal.h"
#include <stdint.h>
#include <string.h>

enum { HEAD = 16 };

void *mt_heap_malloc(size_t size) {
    if (size > SIZE_MAX - HEAD) mt_leave(mt_arena_current, LEAVE_MEMORY);
    char *p = mt_arena_alloc(mt_arena_current, size + HEAD);
    memcpy(p, &size, sizeof(size));
    return p + HEAD;
}

void *mt_heap_realloc(void *p, size_t size) {
    if (p == NULL) return mt_heap_malloc(size);
    if (size > SIZE_MAX - HEAD) mt_leave(mt_arena_current, LEAVE_MEMORY);
    char *head = (char *)p - HEAD;
    size_t had;
    memcpy(&had, head, sizeof(had));
    head = mt_arena_lua_alloc(mt_arena_current, head, had + HEAD, size + HEAD);
    memcpy(head, &size, sizeof(size));
    return head + HEAD;
}

void mt_heap_free(void *p) {
    if (p == NULL) return;
    char *head = (char *)p - HEAD;
    size_t size;
    memcpy(&size, head, sizeof(size));
    mt_arena_release(mt_arena_current, head, size + HEAD);
}
