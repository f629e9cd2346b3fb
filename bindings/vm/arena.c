/* The memory of an execution: one mapping, size-class free lists and a bump pointer. Invariant: an allocation
 * succeeds or leaves the execution; it never answers NULL, because Lua would then collect in an emergency and
 * clear weak tables. The image is a copy of the mapping's beginning, put back before each execution. One
 * thread at a time. */
#include "base/text.h"
#include "bindings/vm/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 16, SMALL_MAX = SMALL_CLASSES * ALIGN, KEEP = 256 * 1024, TRIM = 512 * 1024 };

_Thread_local struct mt_arena *mt_arena_current;

/* Rounds a size up to its class. Sizes beyond the last class do not occur: the mapping is smaller. */
static size_t class_of(size_t size, unsigned *class) {
    if (size <= SMALL_MAX) {
        size_t n = size == 0 ? 1 : (size + ALIGN - 1) / ALIGN;
        *class = (unsigned)(n - 1);
        return n * ALIGN;
    }
    unsigned exponent = 63u - (unsigned)__builtin_clzl(size - 1);
    size_t quarter = (size - 1) >> (exponent - 2) & 3;
    *class = SMALL_CLASSES + (exponent - 10) * 4 + (unsigned)quarter;
    return (5 + quarter) << (exponent - 2);
}

static size_t round_page(size_t size) {
    return (size + 4095) & ~(size_t)4095;
}

struct mt_arena *mt_arena_new(struct mt_vm *vm) {
    struct mt_arena *a = mt_calloc(1, sizeof(*a));
    size_t size = round_page(2 * vm->memory_limit + SLACK);
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        perror("mintage: mmap");
        abort();
    }
    a->vm = vm;
    a->base = a->top = a->peak = a->image_top = base;
    a->end = a->base + size;
    a->limit = a->base + vm->memory_limit;
    return a;
}

void mt_arena_free(struct mt_arena *a) {
    if (a == NULL) return;
    munmap(a->base, (size_t)(a->end - a->base));
    free(a->image);
    for (int i = 0; a->scratch_ready && i < SCRATCHES; i++) mt_buf_clear(&a->scratch[i]);
    free(a);
}

/* A block of n bytes (a class's size) from the bump pointer. */
static void *bump(struct mt_arena *a, size_t n) {
    char *limit = a->soft ? a->end : a->limit;
    if (n > (size_t)(limit - a->top) || a->top > limit) {
        if (a->soft) { /* SLACK is far more than 64 levels of a stack need */
            fputs("mintage: an arena's slack is used up\n", stderr);
            abort();
        }
        mt_leave(a, LEAVE_MEMORY);
    }
    void *p = a->top;
    a->top += n;
    return p;
}

void *mt_arena_alloc(struct mt_arena *a, size_t size) {
    if (size > (size_t)(a->end - a->base)) mt_leave(a, LEAVE_MEMORY);
    unsigned class;
    size_t n = class_of(size, &class);
    void *p = a->lists[class];
    if (p == NULL) return bump(a, n);
    memcpy(&a->lists[class], p, sizeof(void *));
    return p;
}

void mt_arena_release(struct mt_arena *a, void *p, size_t size) {
    if (p == NULL) return;
    unsigned class;
    size_t n = class_of(size, &class);
    if ((char *)p + n == a->top) {
        if (a->top > a->peak) a->peak = a->top;
        a->top = p;
        return;
    }
    memcpy(p, &a->lists[class], sizeof(void *));
    a->lists[class] = p;
}

void *mt_arena_lua_alloc(void *ud, void *p, size_t old_size, size_t size) {
    struct mt_arena *a = ud;
    if (size == 0) {
        mt_arena_release(a, p, old_size);
        return NULL;
    }
    if (p == NULL) return mt_arena_alloc(a, size);
    if (size > (size_t)(a->end - a->base)) mt_leave(a, LEAVE_MEMORY);
    unsigned class;
    size_t had = class_of(old_size, &class), want = class_of(size, &class);
    if (had == want) return p;
    if ((char *)p + had == a->top && want > had) { /* the last block grows in place */
        bump(a, want - had);
        return p;
    }
    void *q = mt_arena_alloc(a, size);
    memcpy(q, p, old_size < size ? old_size : size);
    /* While a C function may be left at any instruction, what has moved keeps its old contents too: it may be
     * the stack, half of whose pointers are not yet corrected, and it is going to be read for the traceback.
     */
    if (!a->in_c) mt_arena_release(a, p, old_size);
    return q;
}

void mt_arena_save(struct mt_arena *a) {
    size_t size = (size_t)(a->top - a->base);
    a->image = aligned_alloc(64, (size + 63) & ~(size_t)63);
    if (a->image == NULL) abort();
    memcpy(a->image, a->base, size);
    memcpy(a->image_lists, a->lists, sizeof(a->lists));
    a->image_top = a->peak = a->top;
    a->limit = a->image_top + a->vm->memory_limit;
    char *end = a->base + round_page(size + a->vm->memory_limit + SLACK);
    if (end < a->end) {
        munmap(end, (size_t)(a->end - end));
        a->end = end;
    }
}

void mt_arena_restore(struct mt_arena *a) {
    memcpy(a->base, a->image, (size_t)(a->image_top - a->base));
    memcpy(a->lists, a->image_lists, sizeof(a->lists));
    a->top = a->peak = a->image_top;
    a->soft = false;
    for (int i = 0; i < SNAPSHOTS; i++) a->snapshots[i].table = NULL;
}

void mt_arena_trim(struct mt_arena *a) {
    if (a->top > a->peak) a->peak = a->top;
    if ((size_t)(a->peak - a->image_top) <= TRIM) return;
    char *from = a->base + round_page((size_t)(a->image_top - a->base) + KEEP);
    madvise(from, (size_t)(a->end - from), MADV_DONTNEED);
}

size_t mt_arena_used(const struct mt_arena *a) {
    const char *peak = a->peak > a->top ? a->peak : a->top;
    return (size_t)(peak - a->image_top);
}

void *mt_vm_alloc(lua_State *L, size_t size) {
    return mt_arena_alloc(mt_arena_of(L), size);
}

struct mt_buf *mt_vm_scratch(lua_State *L, int i) {
    struct mt_arena *a = mt_arena_of(L);
    if (!a->scratch_ready) {
        for (int j = 0; j < SCRATCHES; j++) mt_buf_init(&a->scratch[j], 64 * 1024 * 1024);
        a->scratch_ready = true;
    }
    struct mt_buf *b = &a->scratch[i & (SCRATCHES - 1)];
    mt_buf_reset(b);
    return b;
}
