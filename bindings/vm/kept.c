/* Images that outlive their vm: a process that opens one simulated world after another loads the same scripts
 * each time, and whoever is forked from it too. Invariant: an arena that is kept is at rest, belongs to no
 * vm, and its image depends on nothing but what is compared here. Any thread; behind one lock. */
#include "base/text.h"
#include "bindings/vm/internal.h"
#include <stdlib.h>
#include <string.h>

/* What an image was made from: the generation's id stands for the sources and the settings. */
struct kept {
    struct kept *next; /* newest first */
    struct mt_arena *arena;
    char id[80];
    char *registry;
    struct mt_vm_module *modules;
    size_t module_count, memory_limit;
    int depth_limit;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept *all;
static size_t count, most;

static size_t count_modules(const struct mt_vm *vm) {
    size_t n = 0;
    while (vm->o.modules && vm->o.modules[n].name) n++;
    return n;
}

static void drop(struct kept *k) {
    for (size_t i = 0; i < k->module_count; i++) free((char *)(uintptr_t)k->modules[i].name);
    free(k->modules);
    free(k->registry);
    free(k);
}

static void drop_oldest(void) {
    struct kept **last = &all;
    while ((*last)->next) last = &(*last)->next;
    struct kept *k = *last;
    *last = NULL;
    count--;
    mt_arena_free(k->arena);
    drop(k);
}

void mt_vm_keep_images(size_t n) {
    pthread_mutex_lock(&lock);
    most = n;
    while (count > most) drop_oldest();
    pthread_mutex_unlock(&lock);
}

static struct kept *describe(struct mt_arena *a) {
    const struct mt_vm *vm = a->vm;
    struct kept *k = mt_calloc(1, sizeof *k);
    k->arena = a;
    memcpy(k->id, a->generation->id, sizeof k->id);
    k->registry = mt_strdup(a->generation->registry);
    k->module_count = count_modules(vm);
    k->modules = mt_calloc(k->module_count + 1, sizeof *k->modules);
    for (size_t i = 0; i < k->module_count; i++)
        k->modules[i] = (struct mt_vm_module){mt_strdup(vm->o.modules[i].name), vm->o.modules[i].open};
    k->memory_limit = vm->memory_limit;
    k->depth_limit = vm->depth_limit;
    return k;
}

static bool fits(const struct kept *k, const struct mt_vm *vm, const struct mt_generation *g) {
    if (strcmp(k->id, g->id) != 0 || k->memory_limit != vm->memory_limit ||
        k->depth_limit != vm->depth_limit || k->module_count != count_modules(vm))
        return false;
    for (size_t i = 0; i < k->module_count; i++)
        if (strcmp(k->modules[i].name, vm->o.modules[i].name) != 0 ||
            k->modules[i].open != vm->o.modules[i].open)
            return false;
    return true;
}

/* Nobody executes in it any more, also when whoever did has died in the middle. */
static void rest(struct mt_arena *a) {
    mt_limits_end(a);
    a->call = NULL;
    a->out = NULL;
    a->compiling = NULL;
    a->session = false;
    a->vm = NULL;
    a->generation = NULL;
    a->all_prev = a->all_next = a->idle_prev = a->idle_next = NULL;
    a->seen_epoch = 0;
    for (int i = 0; a->scratch_ready && i < SCRATCHES; i++) mt_buf_clear(&a->scratch[i]);
    a->scratch_ready = false;
}

void mt_arena_retire(struct mt_arena *a) {
    pthread_mutex_lock(&lock);
    if (most == 0 || a->image == NULL) {
        mt_arena_free(a);
    } else {
        if (count == most) drop_oldest();
        struct kept *k = describe(a);
        rest(a);
        mt_arena_trim(a);
        k->next = all;
        all = k;
        count++;
    }
    pthread_mutex_unlock(&lock);
}

struct mt_arena *mt_arena_revive(struct mt_vm *vm, struct mt_generation *g) {
    struct mt_arena *a = NULL;
    pthread_mutex_lock(&lock);
    struct kept **at = &all;
    while (*at && !fits(*at, vm, g)) at = &(*at)->next;
    struct kept *k = *at;
    if (k) {
        *at = k->next;
        count--;
        a = k->arena;
        a->vm = vm;
        a->generation = g;
        if (g->registry == NULL) g->registry = mt_strdup(k->registry);
        drop(k);
    }
    pthread_mutex_unlock(&lock);
    return a;
}
