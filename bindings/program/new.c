/* mintage new: writes a flow and its spec, both small and both working, to be changed into what is wanted.
 * They are the files of new/ with the name put in; with --shipped, a flow that ships and what it requires.
 * Never touches a file that is there. One thread. */
#include "base/buf.h"
#include "base/text.h"
#include "embedded.h"
#include "program.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define NAME_CHARS LETTERS "0123456789_-"

enum { NAME_BYTES = 58, PATH_BYTES = 4096, FILE_BYTES = 64 * 1024 };

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool good_name(const char *name) {
    return *name && strspn(name, LETTERS) > 0 && name[strspn(name, NAME_CHARS)] == '\0' &&
           strlen(name) <= NAME_BYTES && !ends_with(name, "_spec");
}

/* What may have been meant: "flows/gift card.lua" is gift_card. Empty when nothing is left. */
static void suggest(const char *given, char out[NAME_BYTES + 1]) {
    const char *slash = strrchr(given, '/');
    size_t n = 0;
    if (slash) given = slash + 1;
    given += strcspn(given, LETTERS);
    size_t end = strlen(given) - (ends_with(given, ".lua") ? 4 : 0);
    for (size_t i = 0; i < end && n < NAME_BYTES; i++) {
        bool fits = strchr(NAME_CHARS, given[i]) != NULL;
        if (fits || (n > 0 && out[n - 1] != '_')) out[n++] = fits ? given[i] : '_';
    }
    while (n > 0 && out[n - 1] == '_') n--;
    out[n] = '\0';
    if (ends_with(out, "_spec")) out[n - 5] = '\0';
}

static int refuse_name(const struct mt_command *self, const char *name) {
    char near[NAME_BYTES + 1];
    suggest(name, near);
    bool offer = good_name(near);
    return mt_usage(
        self,
        "'%.80s' cannot name a flow: wanted a letter, then letters, digits, \"-\" and \"_\", at most "
        "%d, not ending in \"_spec\"%s%s%s",
        name, (int)NAME_BYTES, offer ? "; did you mean '" : "", offer ? near : "", offer ? "'?" : "");
}

static const struct mt_asset *template_named(const char *path) {
    const struct mt_asset *a = mt_embedded_new;
    while (strcmp(a->path, path) != 0) a++;
    return a;
}

/* As it stands between quotes in Lua. */
static void add_quoted(struct mt_buf *b, const char *s) {
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') mt_buf_add(b, "\\", 1);
        mt_buf_add(b, s, 1);
    }
}

/* The template with NAME and FLOWS put in. */
static void fill(struct mt_buf *b, const struct mt_asset *template, const char *name, const char *flows) {
    const char *s = (const char *)template->data, *end = s + template->len;
    while (s < end) {
        size_t left = (size_t)(end - s);
        if (left >= 4 && memcmp(s, "NAME", 4) == 0) {
            mt_buf_adds(b, name);
            s += 4;
        } else if (left >= 5 && memcmp(s, "FLOWS", 5) == 0) {
            add_quoted(b, flows);
            s += 5;
        } else {
            mt_buf_add(b, s++, 1);
        }
    }
}

static int make_folders(const char *dir, struct mt_error *e) {
    char path[PATH_BYTES];
    struct stat st;
    mt_copy(path, sizeof path, dir);
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash) *slash = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return mt_fail(e, MT_USAGE, "cannot make the folder %s: %s", path, strerror(errno));
        if (!slash) break;
        *slash = '/';
    }
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return 0;
    return mt_fail(e, MT_USAGE, "%s is not a folder", path);
}

static int cannot_write(struct mt_error *e, const char *path) {
    if (errno == EEXIST)
        return mt_fail(e, MT_CONFLICT, "%s is there already and stays as it is; choose another name", path);
    return mt_fail(e, MT_USAGE, "cannot write %s: %s", path, strerror(errno));
}

static int write_file(const char *path, const struct mt_buf *text, struct mt_error *e) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return cannot_write(e, path);
    size_t done = 0;
    ssize_t n = 0;
    while (done < text->len && (n = write(fd, text->data + done, text->len - done)) >= 0) done += (size_t)n;
    int wrong = n < 0 ? errno : 0;
    if (close(fd) != 0 && !wrong) wrong = errno;
    if (!wrong) return 0;
    unlink(path);
    errno = wrong;
    return cannot_write(e, path);
}

struct pair {
    char flow[PATH_BYTES], spec[PATH_BYTES];
};

/* Both or neither. */
static int write_pair(const struct pair *at, const char *name, const char *flows, struct mt_error *e) {
    struct mt_buf flow, spec;
    struct stat st;
    int result = -1;
    mt_buf_init(&flow, FILE_BYTES);
    mt_buf_init(&spec, FILE_BYTES);
    fill(&flow, template_named("flow.lua"), name, flows);
    fill(&spec, template_named("spec.lua"), name, flows);
    errno = EEXIST;
    if (lstat(at->flow, &st) == 0)
        cannot_write(e, at->flow);
    else if (lstat(at->spec, &st) == 0)
        errno = EEXIST, cannot_write(e, at->spec);
    else if (write_file(at->flow, &flow, e) == 0 && (result = write_file(at->spec, &spec, e)) != 0)
        unlink(at->flow);
    mt_buf_clear(&flow);
    mt_buf_clear(&spec);
    return result;
}

/* ---- --shipped ---- */

enum { SHIPPED_MAX = 32 };

static const struct mt_asset *shipped(const char *path) {
    for (const struct mt_asset *a = mt_embedded_flows; a->path; a++) {
        if (strcmp(a->path, path) == 0) return a;
    }
    return NULL;
}

static int refuse_shipped(const struct mt_command *self, const char *name) {
    char names[SHIPPED_MAX][NAME_BYTES + 8];
    const char *list[SHIPPED_MAX];
    struct mt_buf all;
    size_t n = 0;
    mt_buf_init(&all, 4096);
    for (const struct mt_asset *a = mt_embedded_flows; a->path && n < SHIPPED_MAX; a++) {
        if (strchr(a->path, '/')) continue;
        mt_copy(names[n], sizeof names[n], a->path);
        names[n][strcspn(names[n], ".")] = '\0';
        mt_buf_addf(&all, "%s%s", n ? ", " : "", names[n]);
        list[n] = names[n];
        n++;
    }
    const char *near = mt_nearest(name, list, n);
    int code = mt_usage(self, "no flow '%.80s' ships with Mintage%s%s%s; there are %s", name,
                        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "", all.data);
    mt_buf_clear(&all);
    return code;
}

/* Adds the files that the text requires: require "lib.payments" is lib/payments.lua. */
static size_t add_required(const struct mt_asset *of, const struct mt_asset **files, size_t n) {
    static const char word[] = "require \"";
    const char *s = (const char *)of->data, *end = s + of->len;
    while (n < SHIPPED_MAX && (s = memmem(s, (size_t)(end - s), word, sizeof word - 1)) != NULL) {
        char module[200], path[256];
        s += sizeof word - 1;
        const char *quote = memchr(s, '"', (size_t)(end - s));
        if (!quote || !mt_format(module, sizeof module, "%.*s", (int)(quote - s), s)) break;
        for (char *dot = module; (dot = strchr(dot, '.')) != NULL;) *dot = '/';
        mt_format(path, sizeof path, "%s.lua", module);
        const struct mt_asset *a = shipped(path);
        size_t i = 0;
        while (i < n && files[i] != a) i++;
        if (a && i == n) files[n++] = a;
    }
    return n;
}

static int copy_asset(const struct mt_asset *a, const char *path, struct mt_error *e) {
    char folder[PATH_BYTES];
    struct mt_buf text;
    mt_copy(folder, sizeof folder, path);
    *strrchr(folder, '/') = '\0';
    if (make_folders(folder, e) != 0) return -1;
    mt_buf_init(&text, 4 * FILE_BYTES);
    mt_buf_add(&text, a->data, a->len);
    int rc = write_file(path, &text, e);
    mt_buf_clear(&text);
    return rc;
}

/* The flow first: when it is there already, nothing is written. A library that is there stays as it is. */
static int copy_shipped(const struct mt_command *self, const char *name, const char *flows) {
    const struct mt_asset *files[SHIPPED_MAX];
    char path[PATH_BYTES];
    struct mt_error e;
    mt_format(path, sizeof path, "%s.lua", name);
    if (!(files[0] = shipped(path))) return refuse_shipped(self, name);
    size_t n = 1;
    for (size_t i = 0; i < n; i++) n = add_required(files[i], files, n);
    for (size_t i = 0; i < n; i++) {
        if (!mt_format(path, sizeof path, "%s/%s", flows, files[i]->path))
            return mt_usage(self, "the path of the folder is too long: %.100s...", flows);
        if (i > 0 && access(path, F_OK) == 0) {
            printf("Kept %s, which it requires, as it is.\n", path);
            continue;
        }
        if (copy_asset(files[i], path, &e) != 0) return mt_report(&e);
        printf("Wrote %s.\n", path);
    }
    return MT_EXIT_DONE;
}

int mt_new_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    (void)argc;
    const char *name = argv[0], *flows = mt_config_str(config, "flows"), *specs = mt_specs_folder();
    struct pair at;
    struct mt_error e;
    if (!good_name(name)) return refuse_name(self, name);
    while (strncmp(flows, "./", 2) == 0 && flows[2]) flows += 2;
    if (mt_config_bool(config, "shipped")) return copy_shipped(self, name, flows);
    if (!mt_format(at.flow, sizeof at.flow, "%s/%s.lua", flows, name) ||
        !mt_format(at.spec, sizeof at.spec, "%s/%s_spec.lua", specs, name))
        return mt_usage(self, "the path of the folder is too long: %.100s...", flows);
    if (make_folders(flows, &e) != 0 || make_folders(specs, &e) != 0 || write_pair(&at, name, flows, &e) != 0)
        return mt_report(&e);
    bool usual = strcmp(flows, "flows") == 0;
    const char *option = usual ? "" : " --flows ", *folder = usual ? "" : flows;
    printf("Wrote %s and %s.\n\n"
           "  mintage check %s\n"
           "  mintage test                  its stories, in a simulated world\n"
           "  mintage dev%s%s                   runs it, with the providers emulated; then, elsewhere:\n"
           "  mintage run %s '{\"reference\": \"A-1\", \"amount\": \"20.00 USD\"}'\n",
           at.flow, at.spec, flows, option, folder, name);
    return MT_EXIT_DONE;
}
