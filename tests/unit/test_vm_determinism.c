/* links: mt_modules mt_vm mt_engine mt_providers mt_store mt_http mt_crypto mt_money mt_base */
/* The same script gives the same answers in every process: this program runs itself several times, each with
 * another memory layout and hash seed, on a script that touches every source of chance that plain Lua has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bindings/modules/modules.h"
#include "bindings/vm/testing.h"
#include "crypto/crypto.h"

static const char script[] =
    "local json, money = require 'mintage.json', require 'mintage.money'\n"
    "t.entry('e', function()\n"
    "  local log = {}\n"
    "  local function say(...) log[#log + 1] = table.concat({ ... }, ' ') end\n"
    /* key order, also while changing, and in both libraries that iterate */
    "  local words = {}\n"
    "  for i = 1, 300 do words['key' .. (i * 7919) % 1000] = i end\n"
    "  for k, v in pairs(words) do say(k, v) end\n"
    "  local k = next(words) while k do say(k) k = next(words, k) end\n"
    "  for name in pairs(_G) do say(name) end\n"
    "  for _, lib in ipairs { string, table, math, utf8, coroutine } do for name in pairs(lib) do say(name) "
    "end end\n"
    "  say(json.encode(words))\n"
    "  local mixed = { [1.5] = 'a', [-3] = 'b', x = 'c', [true] = 'd', [2^60] = 'e' }\n"
    "  for k, v in pairs(mixed) do say(tostring(k), v) end\n"
    /* ties in a sort above 100 elements, where Lua looks at the clock */
    "  local list = {} for i = 1, 1000 do list[i] = { key = i % 10, id = i } end\n"
    "  table.sort(list, function(a, b) return a.key < b.key end)\n"
    "  for _, v in ipairs(list) do say(v.id) end\n"
    "  table.sort(list, function(a, b) return (a.id * 31 + b.id) % 3 == 0 end)\n"
    "  for _, v in ipairs(list) do say(v.id) end\n"
    /* addresses: tostring, %s, %p, names, error texts */
    "  local things = { {}, function() end, coroutine.create(function() end), setmetatable({}, { __name = "
    "'x.y' }) }\n"
    "  return log, things\n"
    "end)\n";

static const char more[] =
    "t.entry('more', function()\n"
    "  local log = {}\n"
    "  local function say(v) log[#log + 1] = tostring(v) end\n"
    "  for _, v in ipairs { {}, function() end, say, coroutine.create(say), setmetatable({}, { __name = "
    "'x.y' }), string.format, log } do\n"
    "    say(v) say(string.format('%s|%p|%20s', v, v, v))\n"
    "  end\n"
    "  say(string.format('%p', 'text')) say(string.format('%p %p', 'text', 'other'))\n"
    "  for _, f in ipairs { function() return {} .. 'x' end, function() return {} < {} end, function() "
    "return #say end,\n"
    "    function() error({}) end, function() error(setmetatable({}, { __tostring = function() return 'E' "
    "end })) end,\n"
    "    function() return ('x'):bad() end, function() return math.floor({}) end, function() local a = {} "
    "a.b.c = 1 end,\n"
    "    function() string.rep() end, function() table.concat({ {} }) end, function() for k in pairs { [say] "
    "= 1 } do end end,\n"
    "    function() return load('x = = 1')() end, function() return setmetatable({}, { __index = error "
    "}).field end,\n"
    "    function() return undeclared end, function() return require 'nothing' end } do\n"
    "    local ok, err = pcall(f) say(err)\n"
    "  end\n"
    "  say(coroutine.running()) say(select('#', coroutine.running()))\n"
    "  local weak = setmetatable({}, { __mode = 'kv' })\n"
    "  for i = 1, 1000 do weak[i] = { ('junk'):rep(i) } end\n"
    "  local n = 0 for _ in pairs(weak) do n = n + 1 end say(n)\n"
    "  for _, x in ipairs { 0.1, 1e100, 1 / 3, -0.0, 2^53, math.pi, math.huge, 7 // 2, 7.5 // 2, -7 % 3, 5.5 "
    "% -2 } do say(x) end\n"
    "  say(string.format('%a %g %.17g %5.2f', 0.1, 0.1, 0.1, 0.1))\n"
    "  return log\n"
    "end)\n";

static int take_all(lua_State *L, void *arg) {
    struct mt_buf *all = arg, *b = mt_vm_scratch(L, 2);
    struct mt_error e;
    if (mt_value_encode(L, 1, b, &e) != 0) return luaL_error(L, "%s", e.message);
    mt_buf_add(all, b->data, b->len);
    return 0;
}

/* Every process failing alike would be no proof: the entries must return. */
static bool run_entry(struct mt_vm *vm, struct mt_generation *g, const char *entry, struct mt_buf *all) {
    struct mt_vm_call call = {.entry = entry, .take = take_all, .arg = all};
    struct mt_vm_result r;
    mt_vm_execute(vm, g, &call, &r);
    bool returned = r.exit == MT_EXIT_RETURNED;
    if (!returned) fprintf(stderr, "%s: exit %d: %s\n", entry, r.exit, r.message);
    mt_vm_result_clear(&r);
    return returned;
}

/* What the child prints: the digest of everything, or the text itself on request. */
static int child(bool text) {
    static const struct mt_vm_module modules[] = {{"mintage.test", testing_open},
                                                  {"mintage.money", mt_open_money},
                                                  {"mintage.json", mt_open_json},
                                                  {NULL, NULL}};
    struct mt_error e;
    struct mt_vm_options o = {.modules = modules};
    struct mt_vm *vm = mt_vm_new(&o, &e);
    struct mt_buf source, all;
    mt_buf_init(&source, 1 << 20);
    mt_buf_init(&all, 16 << 20);
    mt_buf_adds(&source, script);
    mt_buf_adds(&source, more);
    struct mt_generation *g = testing_load(vm, source.data, &e);
    if (g == NULL) {
        fprintf(stderr, "%s\n", e.message);
        return 1;
    }
    mt_buf_addf(&all, "%s\n", mt_generation_id(g));
    bool ran = run_entry(vm, g, "test:e", &all) && run_entry(vm, g, "test:more", &all);
    char digest[2 * MT_SHA256_SIZE + 1];
    mt_sha256_hex(all.data, all.len, digest);
    printf("%s\n", text ? all.data : digest);
    mt_generation_release(g);
    mt_vm_free(vm);
    mt_buf_clear(&all);
    mt_buf_clear(&source);
    return ran ? 0 : 1;
}

static void digest_of_a_child(char out[128]) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "test_vm_determinism", "digest", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t n;
    while (used < 127 && (n = read(ends[0], out + used, 127 - used)) > 0) used += (size_t)n;
    out[used] = '\0';
    close(ends[0]);
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void every_process_answers_the_same(void **state) {
    (void)state;
    char first[128], other[128];
    digest_of_a_child(first);
    assert_int_equal(strlen(first), 65);
    for (int i = 0; i < 8; i++) {
        digest_of_a_child(other);
        assert_string_equal(first, other);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) return child(strcmp(argv[1], "text") == 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_process_answers_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
