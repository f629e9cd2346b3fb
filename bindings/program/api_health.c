/* What operators and their machines ask: is it alive, may it get traffic, how is it doing. */
#include "api.h"
#include "base/text.h"
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

enum { METRICS_MAX = 4 * 1024 * 1024 };

static void healthz(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    (void)rt;
    (void)req;
    static const char ok[] = "{\"status\":\"alive\"}";
    mt_respond_json(resp, 200, ok, sizeof ok - 1);
}

/* Ready: requests are let in and there is a generation to run. Broken files do not make a working runtime
 * unready. */
static void readyz(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    (void)req;
    static const char ok[] = "{\"status\":\"ready\"}";
    if (!atomic_load(&rt->ready) || atomic_load(&rt->stopping)) {
        mt_respond_problem(resp, 503, "unavailable", "Mintage is %s",
                           atomic_load(&rt->stopping) ? "stopping" : "starting");
        mt_headers_set(&resp->headers, "Retry-After", "1");
        return;
    }
    struct mt_generation *g = mt_scripts_current(rt->scripts);
    if (g) {
        mt_generation_release(g);
        mt_respond_json(resp, 200, ok, sizeof ok - 1);
        return;
    }
    struct mt_flow_problem p = {0};
    mt_generations_problem(rt->generations, &p);
    mt_respond_problem(resp, 503, "script", "no flows are loaded: %s", p.message);
}

static void metric(struct mt_buf *b, const char *name, const char *type, const char *help, double value) {
    mt_buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name, value);
}

static void add_server(struct mt_runtime *rt, struct mt_buf *b) {
    struct mt_server_stats s;
    mt_server_stats(atomic_load(&rt->server), &s);
    mt_buf_adds(b, "# HELP mintage_http_responses_total Responses by the first digit of their status.\n"
                   "# TYPE mintage_http_responses_total counter\n");
    for (int i = 1; i < 6; i++)
        mt_buf_addf(b, "mintage_http_responses_total{class=\"%dxx\"} %" PRIu64 "\n", i, s.by_class[i]);
    metric(b, "mintage_http_refused_total", "counter",
           "Requests refused as malformed, too large or too many.", (double)s.refused);
    metric(b, "mintage_http_in_flight", "gauge", "Requests being answered.", (double)s.in_flight);
    metric(b, "mintage_streams", "gauge", "Open event streams.", (double)mt_sse_count(rt->sse));
}

static void add_generation(struct mt_runtime *rt, struct mt_buf *b) {
    struct mt_flow_problem p;
    struct mt_generation *g = mt_scripts_current(rt->scripts);
    mt_buf_adds(b, "# HELP mintage_generation_info The generation that new runs begin on.\n"
                   "# TYPE mintage_generation_info gauge\n");
    if (g) {
        mt_buf_addf(b, "mintage_generation_info{id=\"%s\"} 1\n", mt_generation_id(g));
        mt_generation_release(g);
    }
    metric(b, "mintage_flows_broken", "gauge", "1 while the files on disk cannot be loaded.",
           mt_generations_problem(rt->generations, &p));
}

static void add_process(struct mt_runtime *rt, struct mt_buf *b) {
    struct rusage u;
    mt_buf_addf(b,
                "# HELP mintage_build_info The version.\n# TYPE mintage_build_info gauge\n"
                "mintage_build_info{version=\"%s\"} 1\n",
                MT_VERSION);
    metric(b, "process_start_time_seconds", "gauge", "When the process started.",
           (double)rt->started_ms / 1000);
    if (getrusage(RUSAGE_SELF, &u) == 0)
        metric(b, "process_cpu_seconds_total", "counter", "Processor time used.",
               (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                   (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

static void metrics(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    (void)req;
    struct mt_buf b;
    mt_buf_init(&b, METRICS_MAX);
    add_process(rt, &b);
    add_generation(rt, &b);
    add_server(rt, &b);
    mt_engine_metrics(rt->engine, &b);
    if (rt->providers) mt_providers_metrics(rt->providers, &b);
    mt_api_answer(resp, 200, &b);
    if (resp->status == 200)
        mt_headers_set(&resp->headers, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
}

const struct mt_route mt_api_health_routes[] = {
    {"GET", "/healthz", MT_ALWAYS, healthz},
    {"GET", "/readyz", MT_ALWAYS, readyz},
    {"GET", "/metrics", MT_PUBLIC, metrics},
    {NULL, NULL, MT_PUBLIC, NULL},
};
