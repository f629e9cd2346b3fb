/* What a provider call costs beside a bare libcurl loop that makes the same request: Mintro's intents.create
 * over a kept-alive connection to a process of its own on loopback. "mintage" is a call as the engine makes
 * it, without journal and store: parameters parsed and checked, request built, authorised, sent, answer read,
 * call counted. "libcurl" is one easy handle with everything set once. Usage: call_bench [CALLS [ROUNDS]].
 * Prints microseconds of CPU a call (of this thread; the server's are not in it) in alternating rounds, and
 * their ratio. */
#include "base/json.h"
#include "base/text.h"
#include "providers/provider.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPERATION "mintro.intents.create"
enum { SLICES = 40 };
#define KEY "0123456789abcdef0123456789abcdef01234567"

static const char params_text[] =
    "{\"amount\":{\"$money\":\"80.00 USD\"},\"email\":\"ann@example.com\",\"name\":\"Ann Example\","
    "\"reference_id\":\"ORDER-1001\",\"order_items\":[{\"name\":\"Coffee\",\"quantity\":2,"
    "\"price\":{\"$money\":\"40.00 USD\"}}],\"integration_type\":\"url\","
    "\"success_url\":\"https://example.com/ok\",\"cancel_url\":\"https://example.com/no\"}";

static const char answer[] =
    "HTTP/1.1 200 OK\r\nDate: Fri, 20 Nov 2026 09:30:00 GMT\r\nServer: bench\r\n"
    "Content-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: 194\r\n\r\n"
    "{\"success\":true,\"data\":{\"intent_id\":\"pi_7b0e4a5e-6a8f-4a39-9c41-0f5b8d1f2c11\","
    "\"status\":\"requires_payment\",\"amount\":\"80.00\","
    "\"payment_url\":\"http://127.0.0.1:8090/pay/7b0e4a5e6a8f4a399c41\"}}       ";

/* ---- the server ---- */

static void serve(int fd) {
    static char data[16384];
    size_t len = 0;
    for (;;) {
        ssize_t got = read(fd, data + len, sizeof data - 1 - len);
        if (got <= 0) return;
        len += (size_t)got;
        data[len] = '\0';
        char *end = strstr(data, "\r\n\r\n");
        char *length = end ? strcasestr(data, "\r\ncontent-length:") : NULL;
        size_t whole =
            end ? (size_t)(end - data) + 4 + (length ? strtoul(length + 17, NULL, 10) : 0) : sizeof data;
        if (len < whole) continue;
        if (write(fd, answer, sizeof answer - 1) != sizeof answer - 1) return;
        len = 0;
    }
}

/* A child that answers, one more for each connection. Answers its port. */
static int start_server(pid_t *child) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        perror("call_bench");
        exit(1);
    }
    *child = fork();
    if (*child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_IGN);
        for (;;) {
            int fd = accept(listener, NULL, NULL);
            if (fd < 0) continue;
            if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                serve(fd);
                _exit(0);
            }
            close(fd);
        }
    }
    close(listener);
    return ntohs(address.sin_port);
}

/* ---- measuring ---- */

static double cpu_us(void) {
    struct rusage u;
    getrusage(RUSAGE_THREAD, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void give_up(const char *what, const char *why) {
    fprintf(stderr, "call_bench: %s: %s\n", what, why);
    exit(1);
}

/* ---- a call as the engine makes it ---- */

static void call_once(struct mt_providers *providers, struct mt_transport *transport) {
    const struct mt_account *account;
    struct mt_http_request req = {0};
    struct mt_http_response resp = {0};
    struct mt_error e = {0};
    json_t *params = mt_json_parse(params_text, sizeof params_text - 1, &e), *value = NULL;
    const struct mt_operation *op = mt_operation_find(providers, OPERATION, &account, &e);
    if (!params || !op || mt_operation_check(op, OPERATION, params, &e) != 0 ||
        mt_provider_admit(providers, account->provider) != 0 ||
        op->build(op, account, params, KEY, &req, &e) != 0 ||
        account->provider->authorize(account, op, &req, &e) != 0 ||
        transport->perform(transport, &req, &resp, &e) != 0 || op->read(op, params, &resp, &value, &e) != 0)
        give_up(OPERATION, e.message);
    mt_provider_report(providers, account->provider, false);
    mt_provider_count(providers, account->provider, op, MT_DONE, resp.duration_us);
    json_decref(value);
    json_decref(params);
    mt_http_response_clear(&resp);
    mt_http_request_clear(&req);
}

static double ours(struct mt_providers *providers, struct mt_transport *transport, int calls) {
    double from = cpu_us();
    for (int i = 0; i < calls; i++) call_once(providers, transport);
    return (cpu_us() - from) / calls;
}

/* The transport alone, with the request that is ready. */
static double transport_alone(struct mt_transport *transport, const struct mt_http_request *req, int calls) {
    double from = cpu_us();
    struct mt_http_response resp;
    struct mt_error e = {0};
    for (int i = 0; i < calls; i++) {
        if (transport->perform(transport, req, &resp, &e) != 0) give_up("transport", e.message);
        mt_http_response_clear(&resp);
    }
    return (cpu_us() - from) / calls;
}

/* ---- the bare loop ---- */

struct bare {
    CURL *easy;
    struct curl_slist *headers;
    char body[4096];
    size_t len;
};

static size_t on_body(char *data, size_t size, size_t count, void *ctx) {
    struct bare *b = ctx;
    if (b->len + size * count > sizeof b->body) return 0;
    memcpy(b->body + b->len, data, size * count);
    b->len += size * count;
    return size * count;
}

/* The same bytes: what build and authorize made of the parameters. */
static void bare_begin(struct bare *b, const struct mt_http_request *req) {
    char line[512];
    *b = (struct bare){.easy = curl_easy_init()};
    for (size_t i = 0; i < req->headers.count; i++) {
        mt_format(line, sizeof line, "%s: %s", req->headers.items[i].name, req->headers.items[i].value);
        b->headers = curl_slist_append(b->headers, line);
    }
    b->headers = curl_slist_append(b->headers, "Expect:");
    curl_easy_setopt(b->easy, CURLOPT_URL, req->url);
    curl_easy_setopt(b->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(b->easy, CURLOPT_USERAGENT, "mintage/" MT_VERSION);
    curl_easy_setopt(b->easy, CURLOPT_HTTPHEADER, b->headers);
    curl_easy_setopt(b->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
    curl_easy_setopt(b->easy, CURLOPT_COPYPOSTFIELDS, req->body);
    curl_easy_setopt(b->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(b->easy, CURLOPT_WRITEDATA, b);
}

static double bare(struct bare *b, int calls) {
    double from = cpu_us();
    long status = 0;
    for (int i = 0; i < calls; i++) {
        b->len = 0;
        CURLcode code = curl_easy_perform(b->easy);
        curl_easy_getinfo(b->easy, CURLINFO_RESPONSE_CODE, &status);
        if (code != CURLE_OK || status != 200) give_up("libcurl", curl_easy_strerror(code));
    }
    return (cpu_us() - from) / calls;
}

int main(int argc, char **argv) {
    int calls = argc > 1 ? atoi(argv[1]) : 20000, rounds = argc > 2 ? atoi(argv[2]) : 5;
    char url[64];
    pid_t child;
    struct mt_error e = {0};
    const struct mt_account *account;
    struct mt_http_request req = {0};
    struct bare b;
    mt_format(url, sizeof url, "http://127.0.0.1:%d", start_server(&child));
    struct mt_clock *clock = mt_clock_system();
    struct mt_providers *providers = mt_providers_new(NULL, url, clock, &e);
    struct mt_transport *transport = mt_transport_curl();
    json_t *params = mt_json_parse(params_text, sizeof params_text - 1, &e);
    const struct mt_operation *op = providers ? mt_operation_find(providers, OPERATION, &account, &e) : NULL;
    if (!op || op->build(op, account, params, KEY, &req, &e) != 0 ||
        account->provider->authorize(account, op, &req, &e) != 0)
        give_up(OPERATION, e.message);
    bare_begin(&b, &req);
    ours(providers, transport, calls / 10 + 1); /* warm */
    bare(&b, calls / 10 + 1);
    for (int i = 0; i < rounds; i++) {
        double libcurl = 0, mintage = 0, sending = 0;
        for (int slice = 0; slice < SLICES;
             slice++) { /* in turns, so that what else the machine does meets all three */
            libcurl += bare(&b, calls / SLICES) / SLICES;
            mintage += ours(providers, transport, calls / SLICES) / SLICES;
            sending += transport_alone(transport, &req, calls / SLICES) / SLICES;
        }
        printf("round %d: libcurl %.1f us, mintage %.1f us of CPU a call: %.2f times (%.1f us of it are the "
               "transport's)\n",
               i + 1, libcurl, mintage, mintage / libcurl, sending);
        fflush(stdout);
    }
    curl_slist_free_all(b.headers);
    curl_easy_cleanup(b.easy);
    mt_http_request_clear(&req);
    json_decref(params);
    transport->free(transport);
    mt_providers_free(providers);
    clock->free(clock);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}
