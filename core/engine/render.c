/* What the engine keeps, as the JSON that people and programs see: money plain, secrets masked; and metrics.
 */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

json_t *plain(const json_t *value) {
    const char *key;
    json_t *member, *out;
    size_t i;
    if (json_is_array(value)) {
        out = json_array();
        json_array_foreach(value, i, member) json_array_append_new(out, plain(member));
        return out;
    }
    if (!json_is_object(value)) return json_incref((json_t *)value);
    if (json_object_size(value) == 1) {
        if (json_object_get(value, "$sealed") || json_object_get(value, "$secret"))
            return json_string("[sealed]");
        static const char *const tags[] = {"$money", "$bytes", "$float", "$error"};
        for (i = 0; i < sizeof tags / sizeof *tags; i++)
            if ((member = json_object_get(value, tags[i]))) return plain(member);
    }
    out = json_object();
    json_object_foreach((json_t *)value, key, member)
        json_object_set_new(out, key[0] == '$' && key[1] == '$' ? key + 1 : key, plain(member));
    return out;
}

void render_plain(struct mt_buf *out, const char *json) {
    struct mt_error e;
    if (!json) {
        mt_buf_adds(out, "null");
        return;
    }
    if (!strstr(json, "\"$")) {
        mt_buf_adds(out, json);
        return;
    }
    json_t *value = mt_json_parse(json, strlen(json), &e), *shown = value ? plain(value) : json_null();
    char *text = mt_json_dump(shown, NULL);
    mt_buf_adds(out, text);
    free(text);
    json_decref(shown);
    json_decref(value);
}

/* ,"name": written by hand, since a run is told on every answer. */
static void name_of(struct mt_buf *out, const char *name) {
    mt_buf_adds(out, ",\"");
    mt_buf_adds(out, name);
    mt_buf_adds(out, "\":");
}

static void member(struct mt_buf *out, const char *name, const char *value) {
    name_of(out, name);
    if (value)
        mt_buf_add_json_string(out, value, strlen(value));
    else
        mt_buf_adds(out, "null");
}

static void time_member(struct mt_buf *out, const char *name, int64_t ms) {
    char text[25];
    if (ms == 0 || ms == MT_NEVER) {
        name_of(out, name);
        mt_buf_adds(out, "null");
        return;
    }
    mt_time_format(ms, text);
    name_of(out, name);
    mt_buf_addc(out, '"');
    mt_buf_adds(out, text);
    mt_buf_addc(out, '"');
}

static void json_member(struct mt_buf *out, const char *name, const char *json) {
    name_of(out, name);
    render_plain(out, json);
}

void mt_run_to_json(struct mt_engine *g, const struct mt_run *run, struct mt_buf *out) {
    char token[96];
    mt_buf_adds(out, "{\"id\":\"");
    mt_buf_adds(out, run->id);
    mt_buf_addc(out, '"');
    member(out, "flow", run->flow);
    member(out, "key", run->key);
    member(out, "state", mt_run_state_name(run->state));
    member(out, "generation", run->generation[0] ? run->generation : NULL);
    name_of(out, "segment");
    mt_buf_addi(out, run->segment);
    json_member(out, "input", run->gone_at ? NULL : run->input ? run->input : "{}");
    json_member(out, "progress", run->progress ? run->progress : "{}");
    json_member(out, "output", run->output);
    json_member(out, "error", run->error);
    json_member(out, "waiting_for", run->waiting_for);
    member(out, "parent", run->parent[0] ? run->parent : NULL);
    mt_engine_token(g, run->id, token);
    mt_buf_adds(out, ",\"checkout_url\":\"");
    mt_buf_adds(out, g->o.public_url ? g->o.public_url : "");
    mt_buf_adds(out, "/checkout/");
    mt_buf_adds(out, token);
    mt_buf_adds(out,
                run->cancel_requested ? "\",\"cancel_requested\":true" : "\",\"cancel_requested\":false");
    time_member(out, "due_at", run->due_at);
    time_member(out, "created_at", run->created_at);
    time_member(out, "updated_at", run->updated_at);
    if (run->moves) json_member(out, "moves", run->moves);
    if (run->gone_at)
        time_member(out, "tombstone_since", run->gone_at);
    else if (run->dropped)
        mt_buf_addf(out, ",\"segments_dropped\":%d", run->dropped);
    mt_buf_addc(out, '}');
}

void mt_entry_to_json(struct mt_engine *g, const struct mt_entry *entry, struct mt_buf *out) {
    (void)g;
    mt_buf_addf(out, "{\"segment\":%d,\"seq\":%d", entry->segment, entry->seq);
    member(out, "kind", entry->kind);
    member(out, "name", entry->name[0] ? entry->name : NULL);
    member(out, "outcome", entry->outcome == MT_OUTCOME_NONE ? NULL : mt_outcome_name(entry->outcome));
    json_member(out, "params", entry->params);
    if (entry->sealed)
        mt_buf_adds(out, ",\"result\":\"[sealed]\"");
    else
        json_member(out, entry->outcome == MT_DONE || entry->outcome == MT_OUTCOME_NONE ? "result" : "error",
                    entry->result);
    json_member(out, "meta", entry->meta);
    member(out, "line", entry->site[0] ? entry->site : NULL);
    time_member(out, "at", entry->at);
    time_member(out, "done_at", entry->done_at);
    mt_buf_addc(out, '}');
}

void mt_event_to_json(const struct mt_event *event, struct mt_buf *out) {
    mt_buf_addf(out, "{\"n\":%lld", (long long)event->n);
    member(out, "topic", event->topic);
    member(out, "key", event->key);
    json_member(out, "payload", event->payload);
    member(out, "source", event->source);
    mt_buf_addf(out, ",\"readers\":%d", event->readers);
    if (event->raw_len > 0) mt_buf_addf(out, ",\"raw_bytes\":%zu", event->raw_len);
    if (event->late != MT_LATE_NO) {
        static const char *const states[] = {"no", "pending", "handled", "unhandled"};
        mt_buf_addf(out, ",\"late\":{\"run\":\"%s\",\"state\":\"%s\"}", event->late_run, states[event->late]);
    }
    time_member(out, "at", event->at);
    mt_buf_addc(out, '}');
}

void mt_delivery_to_json(const struct mt_delivery *d, struct mt_buf *out) {
    mt_buf_addf(out, "{\"id\":\"%s\"", d->id);
    member(out, "provider", d->group);
    member(out, "event", d->event);
    member(out, "url", d->url);
    member(out, "state", d->state);
    mt_buf_addf(out, ",\"attempts\":%d", d->attempts);
    mt_buf_adds(out, ",\"body\":");
    struct mt_error e;
    json_t *body = d->body ? mt_json_parse(d->body, d->body_len, &e) : NULL;
    if (body)
        mt_buf_add(out, d->body, d->body_len);
    else
        mt_buf_add_json_string(out, d->body ? d->body : "", d->body ? d->body_len : 0);
    json_decref(body);
    mt_buf_addf(out, ",\"log\":%s", d->log ? d->log : "[]");
    time_member(out, "next_at", d->next_at);
    time_member(out, "created_at", d->created_at);
    mt_buf_addc(out, '}');
}

/* ---- metrics ---- */

static void metric(struct mt_buf *out, const char *name, const char *type, const char *help, uint64_t value) {
    mt_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name,
                (unsigned long long)value);
}

void mt_engine_metrics(struct mt_engine *g, struct mt_buf *out) {
    int64_t by_state[MT_RUN_STATE_COUNT] = {0};
    struct mt_error e;
    struct mt_writer_stats w;
    if (g->o.store->count_runs(g->o.store, by_state, &e) == 0) {
        mt_buf_adds(out, "# HELP mintage_runs Runs in the store by state.\n# TYPE mintage_runs gauge\n");
        for (int i = 0; i < MT_RUN_STATE_COUNT; i++)
            mt_buf_addf(out, "mintage_runs{state=\"%s\"} %lld\n", mt_run_state_name((enum mt_run_state)i),
                        (long long)by_state[i]);
    }
    pthread_mutex_lock(&g->ready_lock);
    size_t ready = g->ready_count, executing = g->executing, live = (size_t)g->live;
    pthread_mutex_unlock(&g->ready_lock);
    metric(out, "mintage_runs_ready", "gauge", "Claimed runs that wait for a worker.", ready);
    metric(out, "mintage_runs_executing", "gauge", "Runs on a worker now.", executing);
    metric(out, "mintage_workers", "gauge", "Flow workers there are.", live);
    metric(out, "mintage_workers_most", "gauge", "Flow workers there may be.", (uint64_t)g->workers);
    metric(out, "mintage_runs_started_total", "counter", "Runs started by this process.",
           atomic_load(&g->runs_started));
    metric(out, "mintage_runs_ended_total", "counter", "Runs ended by this process.",
           atomic_load(&g->runs_ended));
    metric(out, "mintage_effects_total", "counter", "Effects journaled by this process.",
           atomic_load(&g->effects));
    metric(out, "mintage_replays_total", "counter", "Executions that began with a replay.",
           atomic_load(&g->replays));
    metric(out, "mintage_timer_lag_milliseconds", "gauge", "How late the last due run was taken up.",
           atomic_load(&g->timer_lag_ms));
    metric(out, "mintage_webhooks_total", "counter", "Webhooks received.", atomic_load(&g->webhooks));
    metric(out, "mintage_webhook_duplicates_total", "counter", "Webhooks that had been stored before.",
           atomic_load(&g->webhook_duplicates));
    metric(out, "mintage_deliveries_total", "counter", "Outgoing webhooks accepted by their receiver.",
           atomic_load(&g->deliveries_ok));
    metric(out, "mintage_deliveries_failed_total", "counter", "Outgoing webhooks given up.",
           atomic_load(&g->deliveries_failed));
    metric(out, "mintage_handler_conflicts_total", "counter",
           "Handlers run again because another changed what they read.", atomic_load(&g->handler_conflicts));
    metric(out, "mintage_late_events_total", "counter",
           "Events that came after their run had ended and started its flow's late handler.",
           atomic_load(&g->late_handled));
    metric(out, "mintage_late_events_unhandled_total", "counter",
           "Events that came after their run had ended, and nothing looked after them.",
           atomic_load(&g->late_unhandled));
    schedules_metrics(g, out);
    retention_metrics(g, out);
    mt_writer_stats(g->writer, &w);
    metric(out, "mintage_store_commits_total", "counter", "Commits.", w.commits);
    metric(out, "mintage_store_batches_total", "counter",
           "Batches applied; batches over commits is the group's size.", w.batches);
    metric(out, "mintage_store_batches_refused_total", "counter", "Batches refused.", w.refused);
    mt_buf_adds(out, "# HELP mintage_store_commit_batches Batches a commit.\n# TYPE "
                     "mintage_store_commit_batches histogram\n");
    uint64_t sum = 0;
    for (int i = 0; i < 12; i++) {
        sum += w.size_histogram[i];
        mt_buf_addf(out, "mintage_store_commit_batches_bucket{le=\"%d\"} %llu\n", 1 << i,
                    (unsigned long long)sum);
    }
    mt_buf_addf(
        out,
        "mintage_store_commit_batches_bucket{le=\"+Inf\"} %llu\nmintage_store_commit_batches_sum %llu\n"
        "mintage_store_commit_batches_count %llu\n",
        (unsigned long long)sum, (unsigned long long)w.batches, (unsigned long long)sum);
}
