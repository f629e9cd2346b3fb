/* The router: a tree of path segments. At every segment a literal is tried before {param}, and that before
 * "*", going back where a branch leads nowhere. Immutable once the server has it; then any thread. */
#include "base/text.h"
#include "http/server.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_PARAMS = 8, MAX_SEGMENTS = 32, MAX_METHOD = 16 };

/* One method of one pattern. */
struct route {
    char method[MAX_METHOD]; /* "GET", or "*" */
    mt_handler *handler;
    void *ctx;
    char *names[MAX_PARAMS]; /* owned; those of this pattern, in order */
    size_t name_count;
};

struct routes {
    struct route *items;
    size_t count;
};

struct node {
    char *literal; /* owned; NULL for the root and for a param */
    struct node **children;
    size_t child_count;
    struct node *param; /* any one segment that is not empty */
    struct routes here; /* the path ends here */
    struct routes rest; /* ... or goes on in any way */
};

struct mt_router {
    struct node root;
};

struct mt_router *mt_router_new(void) {
    return mt_calloc(1, sizeof(struct mt_router));
}

static void routes_clear(struct routes *r) {
    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < r->items[i].name_count; k++) free(r->items[i].names[k]);
    free(r->items);
}

static void node_clear(struct node *n) {
    for (size_t i = 0; i < n->child_count; i++) {
        node_clear(n->children[i]);
        free(n->children[i]);
    }
    if (n->param != NULL) node_clear(n->param);
    free(n->param);
    free(n->children);
    free(n->literal);
    routes_clear(&n->here);
    routes_clear(&n->rest);
}

void mt_router_free(struct mt_router *r) {
    if (r == NULL) return;
    node_clear(&r->root);
    free(r);
}

/* ---- adding ---- */

static bool method_ok(const char *method) {
    size_t n = strlen(method);
    if (strcmp(method, "*") == 0) return true;
    return n > 0 && n < MAX_METHOD && strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == n;
}

static struct node *literal_child(const struct node *n, const char *s, size_t len) {
    for (size_t i = 0; i < n->child_count; i++) {
        const char *literal = n->children[i]->literal;
        if (strncmp(literal, s, len) == 0 && literal[len] == '\0') return n->children[i];
    }
    return NULL;
}

static struct node *grow_literal(struct node *n, const char *s, size_t len) {
    struct node *child = literal_child(n, s, len);
    if (child != NULL) return child;
    child = mt_calloc(1, sizeof(*child));
    child->literal = mt_memdup(s, len);
    n->children = mt_realloc(n->children, (n->child_count + 1) * sizeof(*n->children));
    n->children[n->child_count++] = child;
    return child;
}

static int check_segment(const char *pattern, const char *s, size_t len, bool last, struct mt_error *e) {
    if (len == 1 && s[0] == '*') {
        if (last) return 0;
        return mt_fail(e, MT_USAGE, "route \"%s\": \"*\" may only be the last segment", pattern);
    }
    bool braces = memchr(s, '{', len) != NULL || memchr(s, '}', len) != NULL;
    bool whole = len > 2 && s[0] == '{' && s[len - 1] == '}' && memchr(s + 1, '{', len - 1) == NULL &&
                 memchr(s, '}', len - 1) == NULL;
    if (braces && !whole)
        return mt_fail(e, MT_USAGE, "route \"%s\": a parameter is a whole segment, \"/{name}\"", pattern);
    if (memchr(s, '*', len) != NULL)
        return mt_fail(e, MT_USAGE, "route \"%s\": \"*\" stands for the whole rest, \"/*\"", pattern);
    return 0;
}

/* Puts the route among those of one place; the names in `r` are taken over on success only. */
static int routes_put(struct routes *routes, const struct route *r, const char *pattern, struct mt_error *e) {
    for (size_t i = 0; i < routes->count; i++) {
        if (strcmp(routes->items[i].method, r->method) == 0)
            return mt_fail(e, MT_CONFLICT, "route \"%s %s\" is there twice", r->method, pattern);
    }
    routes->items = mt_realloc(routes->items, (routes->count + 1) * sizeof(*routes->items));
    routes->items[routes->count++] = *r;
    return 0;
}

int mt_router_add(struct mt_router *r, const char *method, const char *pattern, mt_handler *handler,
                  void *ctx, struct mt_error *e) {
    struct route route = {.handler = handler, .ctx = ctx};
    struct node *node = &r->root;
    struct routes *place = NULL;
    int segments = 0;

    if (!method_ok(method))
        return mt_fail(e, MT_USAGE, "route \"%s\": the method must be like \"GET\" or \"*\", not \"%s\"",
                       pattern, method);
    if (pattern[0] != '/') return mt_fail(e, MT_USAGE, "route \"%s\" must begin with \"/\"", pattern);
    mt_copy(route.method, sizeof(route.method), method);

    for (const char *s = pattern + 1; place == NULL; segments++) {
        size_t len = strcspn(s, "/");
        bool last = s[len] == '\0';
        if (check_segment(pattern, s, len, last, e) != 0) goto fail;
        if (segments >= MAX_SEGMENTS || (s[0] == '{' && route.name_count >= MAX_PARAMS)) {
            mt_fail(e, MT_LIMIT, "route \"%s\" is longer than %d segments or has more than %d parameters",
                    pattern, MAX_SEGMENTS, MAX_PARAMS);
            goto fail;
        }
        if (len == 1 && s[0] == '*') {
            place = &node->rest;
        } else if (s[0] == '{') {
            route.names[route.name_count++] = mt_memdup(s + 1, len - 2);
            if (node->param == NULL) node->param = mt_calloc(1, sizeof(*node->param));
            node = node->param;
        } else {
            node = grow_literal(node, s, len);
        }
        if (last && place == NULL) place = &node->here;
        s += len + 1;
    }
    if (place == &node->rest) {
        if (route.name_count >= MAX_PARAMS) {
            mt_fail(e, MT_LIMIT, "route \"%s\" has more than %d parameters", pattern, MAX_PARAMS);
            goto fail;
        }
        route.names[route.name_count++] = mt_strdup("*");
    }
    if (routes_put(place, &route, pattern, e) == 0) return 0;
fail:
    for (size_t i = 0; i < route.name_count; i++) free(route.names[i]);
    return -1;
}

/* ---- finding ---- */

struct span {
    const char *s;
    size_t len;
};

/* The place for the path that goes on at `s`, which is just behind a "/" (NULL: the path has ended). */
static const struct routes *search(const struct node *n, const char *s, struct span *spans, size_t *count) {
    if (s == NULL) return n->here.count > 0 ? &n->here : NULL;
    size_t len = strcspn(s, "/");
    const char *next = s[len] == '/' ? s + len + 1 : NULL;
    size_t before = *count;

    const struct node *child = literal_child(n, s, len);
    const struct routes *found = child != NULL ? search(child, next, spans, count) : NULL;
    if (found != NULL) return found;
    *count = before;
    if (n->param != NULL && len > 0) {
        spans[(*count)++] = (struct span){s, len};
        found = search(n->param, next, spans, count);
        if (found != NULL) return found;
        *count = before;
    }
    if (n->rest.count == 0) return NULL;
    spans[(*count)++] = (struct span){s, strlen(s)};
    return &n->rest;
}

static const struct route *with_method(const struct routes *routes, const char *method) {
    const struct route *any = NULL;
    for (size_t i = 0; i < routes->count; i++) {
        if (strcmp(routes->items[i].method, method) == 0) return &routes->items[i];
        if (strcmp(routes->items[i].method, "*") == 0) any = &routes->items[i];
    }
    return any;
}

static void list_methods(const struct routes *routes, char allowed[128]) {
    size_t used = 0;
    for (size_t i = 0; i < routes->count; i++) {
        const char *method = routes->items[i].method;
        const char *and_head =
            strcmp(method, "GET") == 0 && with_method(routes, "HEAD") == NULL ? ", HEAD" : "";
        if (!mt_format(allowed + used, 128 - used, "%s%s%s", used > 0 ? ", " : "", method, and_head)) {
            allowed[used] = '\0';
            return;
        }
        used += strlen(allowed + used);
    }
}

/* Points the request's params at the values; all but "*" are copied, as they end at a "/". */
static bool fill_params(struct mt_request *req, const struct route *route, const struct span *spans) {
    char *out = req->param_space;
    size_t room = sizeof(req->param_space);
    for (size_t i = 0; i < route->name_count; i++) {
        req->param_names[i] = route->names[i];
        req->param_values[i] = spans[i].s;
        if (spans[i].s[spans[i].len] == '\0') continue;
        if (spans[i].len >= room) return false;
        memcpy(out, spans[i].s, spans[i].len);
        out[spans[i].len] = '\0';
        req->param_values[i] = out;
        out += spans[i].len + 1;
        room -= spans[i].len + 1;
    }
    req->param_count = route->name_count;
    return true;
}

mt_handler *mt_router_find(const struct mt_router *r, struct mt_request *req, void **ctx, char allowed[128]) {
    struct span spans[MAX_SEGMENTS + 1];
    size_t count = 0;
    allowed[0] = '\0';
    req->param_count = 0;
    if (req->path[0] != '/') return NULL;
    const struct routes *place = search(&r->root, req->path + 1, spans, &count);
    if (place == NULL) return NULL;
    const struct route *route = with_method(place, req->method);
    if (route == NULL && strcmp(req->method, "HEAD") == 0) route = with_method(place, "GET");
    if (route == NULL) {
        list_methods(place, allowed);
        return NULL;
    }
    if (!fill_params(req, route, spans)) return NULL;
    *ctx = route->ctx;
    return route->handler;
}

static void not_found(const char *allowed, struct mt_response *resp) {
    if (allowed[0] == '\0') {
        mt_respond_problem(resp, 404, "not_found", "there is nothing at this path");
        return;
    }
    mt_respond_problem(resp, 405, "method_not_allowed", "this path takes %s", allowed);
    mt_headers_set(&resp->headers, "Allow", allowed);
}

void mt_router_serve(const struct mt_router *r, mt_handler *fallback, void *fallback_ctx,
                     struct mt_request *req, struct mt_response *resp) {
    char allowed[128];
    void *ctx = NULL;
    mt_handler *handler = mt_router_find(r, req, &ctx, allowed);
    if (handler != NULL)
        handler(ctx, req, resp);
    else if (fallback != NULL && allowed[0] == '\0')
        fallback(fallback_ctx, req, resp);
    else
        not_found(allowed, resp);
}
