/* malloc, realloc and free in the arena of the execution that this thread is in, for C libraries that keep
 * memory of their own (lua-cjson, whose symbols are renamed to these at build time): it lives and dies with
 * the arena, and is part of the image. Never NULL; leaves at the memory limit. Only within an execution. */
#pragma once
#include <stddef.h>

void *mt_heap_malloc(size_t size);
void *mt_heap_realloc(void *p, size_t size);
void mt_heap_free(void *p);
