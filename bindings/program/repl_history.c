/* What was entered at the console, one entry a line, in a file that only its user can read: the newest
 * ENTRIES_MAX. Invariant: what seems to hold a secret never reaches the file. Several clients may append at
 * once. No state; one thread. */
#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "repl.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ENTRIES_MAX = 2000,
    ENTRY_BYTES = 4096,
    FILE_BYTES = 1024 * 1024,
    DIGITS_LEAST = 12,
    DIGITS_MOST = 19
};

/* ---- secrets ---- */

static bool luhn(const char *digits, size_t n) {
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        int d = digits[n - 1 - i] - '0';
        if (i % 2 == 1) d = d * 2 > 9 ? d * 2 - 9 : d * 2;
        sum += d;
    }
    return sum % 10 == 0;
}

/* A card's number in any grouping, or sixteen digits, as an ePIN has. */
static bool has_number(const char *text) {
    char digits[DIGITS_MOST + 1];
    for (const char *s = text; *s;) {
        size_t n = 0;
        if (!isdigit((unsigned char)*s)) {
            s++;
            continue;
        }
        for (; isdigit((unsigned char)*s) || ((*s == ' ' || *s == '-') && isdigit((unsigned char)s[1]));
             s++) {
            if (isdigit((unsigned char)*s) && n < sizeof digits) digits[n++] = *s;
        }
        if (n >= DIGITS_LEAST && n <= DIGITS_MOST && (n == 16 || luhn(digits, n))) return true;
    }
    return false;
}

/* Past what may stand between a field's name and "=" or ":": the end of a string, a bracket, spaces. */
static const char *to_sign(const char *s) {
    if (*s == '"' || *s == '\'') s++;
    s += strspn(s, " \t");
    if (*s == ']') s++;
    return s + strspn(s, " \t");
}

/* `key` alone is also what runs and events are found by: its value must look like a key of an API. */
static bool harmless_key(const char *name, const char *value) {
    if (strcmp(name, "key") != 0) return false;
    value += strspn(value, " \t\"'");
    return strcspn(value, "\"' \t") < 20;
}

static bool has_field(const char *text) {
    char name[64];
    for (const char *s = text; *s;) {
        size_t n = 0;
        while (isalnum((unsigned char)s[n]) || s[n] == '_' ||
               (s[n] == '-' && isalnum((unsigned char)s[n + 1])))
            n++;
        if (n == 0) {
            s++;
            continue;
        }
        const char *sign = to_sign(s + n);
        bool assigned = (*sign == '=' && sign[1] != '=') || *sign == ':';
        if (assigned && mt_format(name, sizeof name, "%.*s", (int)n, s) && mt_secret_name(name) &&
            sign[1 + strspn(sign + 1, " \t")] != '\0' && !harmless_key(name, sign + 1))
            return true;
        s += n;
    }
    return strstr(text, "Bearer ") != NULL;
}

bool mt_repl_has_secret(const char *text) {
    char *copy = mt_strdup(text);
    mt_mask_digits(copy, strlen(copy));
    bool found = strcmp(copy, text) != 0 || has_number(text) || has_field(text);
    mt_wipe(copy, strlen(copy));
    free(copy);
    return found;
}

/* ---- entries ---- */

char *mt_repl_history_line(const char *text) {
    size_t len = strlen(text);
    if (len == 0 || len > ENTRY_BYTES || isspace((unsigned char)text[0]) || mt_repl_has_secret(text))
        return NULL;
    char *line = mt_strdup(text);
    for (; len > 0 && isspace((unsigned char)line[len - 1]); len--) line[len - 1] = '\0';
    /* Lines can be joined unless their ends mean something. */
    bool joins = !strstr(line, "--") && !strstr(line, "[[") && !strstr(line, "[=") && !strstr(line, "\\\n");
    if (strchr(line, '\n') && !joins) {
        free(line);
        return NULL;
    }
    char *out = line;
    for (const char *s = line; *s;) {
        if (*s == '\n') {
            s += strspn(s, " \t\r\n");
            *out++ = ' ';
        } else {
            *out++ = *s++;
        }
    }
    *out = '\0';
    return line;
}

/* Parents as umask says, the last one the owner's alone. */
static bool make_folders(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!made) return false;
    }
    return true;
}

bool mt_repl_history_path(char *out, size_t size) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool fits = state && *state == '/' ? mt_format(out, size, "%s/mintage/history", state)
                : home && *home == '/' ? mt_format(out, size, "%s/.local/state/mintage/history", home)
                                       : false;
    return fits && make_folders(out);
}

/* Locked, the owner's alone; -1 when it cannot be had. */
static int open_file(const char *path) {
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && fchmod(fd, 0600) == 0 &&
        flock(fd, LOCK_EX) == 0)
        return fd;
    close(fd);
    return -1;
}

static char *read_file(int fd) {
    struct stat st;
    if (fstat(fd, &st) != 0) return NULL;
    size_t size = st.st_size > FILE_BYTES ? FILE_BYTES : (size_t)st.st_size;
    off_t from = st.st_size - (off_t)size;
    char *text = mt_calloc(1, size + 1);
    ssize_t n = pread(fd, text, size, from);
    if (n < 0) n = 0;
    text[n] = '\0';
    if (from > 0) { /* begun in the middle of a line */
        char *line = strchr(text, '\n');
        memmove(text, line ? line + 1 : text + n, strlen(line ? line + 1 : text + n) + 1);
    }
    return text;
}

static size_t count_lines(const char *text) {
    size_t n = 0;
    for (; (text = strchr(text, '\n')); text++) n++;
    return n;
}

void mt_repl_history_load(const char *path, void (*entry)(void *ctx, const char *text), void *ctx) {
    int fd = open_file(path);
    char *text = fd < 0 ? NULL : read_file(fd), *start = text;
    if (!text) goto out;
    size_t lines = count_lines(text);
    for (size_t n = lines; n > ENTRIES_MAX; n--) start = strchr(start, '\n') + 1;
    if (lines > 2 * ENTRIES_MAX && ftruncate(fd, 0) == 0 && write(fd, start, strlen(start)) < 0)
        mt_debug("cannot shorten the console's history", "error", strerror(errno));
    for (char *end; (end = strchr(start, '\n')); start = end + 1) {
        *end = '\0';
        if (*start && mt_utf8_valid(start, strlen(start))) entry(ctx, start);
    }
out:
    free(text);
    if (fd >= 0) close(fd);
}

void mt_repl_history_add(const char *path, const char *text) {
    char line[ENTRY_BYTES + 2];
    if (!mt_format(line, sizeof line, "%s\n", text)) return;
    int fd = open_file(path);
    if (fd < 0) return;
    if (write(fd, line, strlen(line)) < 0)
        mt_debug("cannot write the console's history", "error", strerror(errno));
    close(fd);
}
