/* Time travel (travel.h): an execution that judges, stops where it is told, and is looked at. Invariant: it
 * has an mt_exec of its own that writes nothing, so that it may go on beside the execution of the same run.
 * What was secret in the input, in sealed answers and in what the script unsealed is taken out of all that is
 * answered. Any thread. */
#include "engine/travel.h"
#include "base/sync.h"
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define LIMIT_MS 10000
#define TRAVELS_MAX 16

/* ---- what the execution meets ---- */

bool travel_stops(struct mt_exec *x, const char *kind, const char *name, const char *site) {
    struct travel *t = x->travel;
    if (!t) return false;
    bool journaled = x->seq < x->stored;
    bool open = journaled && x->entries[x->seq]->outcome == MT_OUTCOME_NONE;
    t->late = mt_mono_ns() > t->until_ns;
    t->stopped = !journaled || t->late || (t->at > 0 && x->seq + 1 >= (size_t)t->at);
    if (t->stopped || open) {
        mt_copy(t->kind, sizeof t->kind, kind);
        mt_copy(t->name, sizeof t->name, name);
        mt_copy(t->site, sizeof t->site, site ? site : "");
    }
    return t->stopped;
}

static void keep_params(struct travel *t, json_t *params) {
    free(t->params);
    t->params = params ? mt_json_dump(params, NULL) : NULL;
    json_decref(params);
}

static bool wants_params(const struct mt_exec *x) {
    return x->travel && x->seq >= x->stored;
}

/* Parameters that hold a stand-in are not those of the journal, and not the code's doing. */
static void look_for_stand_ins(struct travel *t, const char *params) {
    const char *one;
    json_t *ignored;
    t->stands_in = false;
    json_object_foreach(t->stand_ins, one, ignored) {
        if (params && strstr(params, one)) t->stands_in = true;
    }
}

void travel_asks(struct mt_exec *x, const char *params) {
    struct mt_error e;
    if (x->travel) look_for_stand_ins(x->travel, params);
    if (!wants_params(x)) return;
    json_t *value = params ? mt_json_parse(params, strlen(params), &e) : NULL;
    keep_params(x->travel, value ? plain(value) : NULL);
    json_decref(value);
}

void travel_asks_call(struct mt_exec *x, const struct mt_operation *op, const json_t *params) {
    if (x->travel && json_object_size(x->travel->stand_ins)) {
        char *text = mt_json_dump(params, NULL);
        look_for_stand_ins(x->travel, text);
        free(text);
    }
    if (!wants_params(x)) return;
    json_t *masked = mt_operation_mask_params(op, params);
    keep_params(x->travel, plain(masked));
    json_decref(masked);
}

void travel_asks_input(struct mt_exec *x, const char *flow, const char *input) {
    struct mt_buf normal;
    struct mt_error e;
    char generation[80];
    if (x->travel) look_for_stand_ins(x->travel, input);
    if (!wants_params(x)) return;
    mt_buf_init(&normal, MT_VALUE_MAX);
    x->g->o.script->current(x->g->o.script, generation);
    bool fits = x->g->o.script->check_input(x->g->o.script, generation, flow, input, &normal, &e) == 0;
    travel_asks(x, fits ? normal.data : NULL);
    mt_buf_clear(&normal);
}

/* ---- what is answered ---- */

static json_t *parsed(const char *text) {
    struct mt_error e;
    json_t *value = text && text[0] ? mt_json_parse(text, strlen(text), &e) : NULL, *shown = NULL;
    if (value) shown = plain(value);
    json_decref(value);
    return shown ? shown : json_null();
}

static json_t *time_text(int64_t ms) {
    char text[25];
    if (ms == 0 || ms == MT_NEVER) return json_null();
    mt_time_format(ms, text);
    return json_string(text);
}

static json_t *entry_json(struct mt_engine *g, const struct mt_entry *entry) {
    struct mt_buf b;
    struct mt_error e;
    mt_buf_init(&b, 16 * MT_VALUE_MAX);
    mt_entry_to_json(g, entry, &b);
    json_t *out = mt_buf_ok(&b) ? mt_json_parse(b.data, b.len, &e) : NULL;
    mt_buf_clear(&b);
    return out ? out : json_object();
}

/* The effect that the script stands at: the journal's, or what it asks for. */
static json_t *effect_json(struct mt_exec *x, size_t seq) {
    const struct travel *t = x->travel;
    if (seq <= x->stored) {
        json_t *entry = entry_json(x->g, x->entries[seq - 1]);
        json_object_set_new(entry, "journaled", json_true());
        return entry;
    }
    json_t *params = parsed(t->params);
    if (strcmp(t->kind, "collection") == 0) { /* as they will be journaled */
        json_t *masked = mt_json_redact(params);
        json_decref(params);
        params = masked;
    }
    return json_pack("{s:i, s:i, s:s, s:s, s:s, s:o, s:b}", "segment", x->run.segment, "seq", (int)seq,
                     "kind", t->kind, "name", t->name, "line", t->site, "params", params, "journaled", 0);
}

static void add_effect_name(struct mt_buf *b, const json_t *effect) {
    const char *kind = mt_json_str(effect, "kind", ""), *name = mt_json_str(effect, "name", "");
    mt_buf_addf(b, "%s%s%s", kind, name[0] ? " " : "", name);
}

static json_t *parted_json(const struct mt_exec *x) {
    const json_t *had = json_object_get(x->park_details, "expected");
    const json_t *found = json_object_get(x->park_details, "found");
    const char *site = mt_json_str(found, "line", ""), *colon = strrchr(site, ':');
    const char *kind = mt_json_str(found, "kind", "");
    bool ended = strcmp(kind, "return") == 0 || strcmp(kind, "an error") == 0;
    struct mt_buf b;
    int64_t line = 0;
    mt_buf_init(&b, 1024);
    mt_buf_addf(&b, "effect %d is ", (int)mt_json_int(x->park_details, "seq", 0));
    add_effect_name(&b, had);
    mt_buf_addf(&b, " (journaled at %s), and the script %s ", mt_json_str(had, "line", ""),
                ended ? "ends with" : "asks for");
    add_effect_name(&b, found);
    if (mt_json_bool(x->park_details, "other_parameters", false)) mt_buf_adds(&b, " with other parameters");
    if (site[0]) mt_buf_addf(&b, " at %s", site);
    if (colon) mt_parse_int(colon + 1, 1, INT32_MAX, &line);
    json_t *out = json_pack("{s:o?, s:O?, s:O?, s:O?, s:s}", "seq",
                            json_integer(mt_json_int(x->park_details, "seq", 0)), "expected",
                            (json_t *)(uintptr_t)had, "found", (json_t *)(uintptr_t)found, "other_parameters",
                            json_object_get(x->park_details, "other_parameters"), "message", b.data);
    if (colon && line) {
        json_object_set_new(out, "file", json_stringn(site, (size_t)(colon - site)));
        json_object_set_new(out, "line", json_integer(line));
    }
    mt_buf_clear(&b);
    return out;
}

/* ---- the journey ---- */

struct journey {
    struct mt_engine *g;
    const struct mt_travel *t;
    struct mt_exec *x;
    int segments;      /* how many the run has had */
    bool newest;       /* it is about the one that the run is in */
    struct mt_run now; /* the run as it is */
    json_t *then;
};

/* What an earlier segment began with is kept with the entry that ended it. */
static int earlier_segment(struct journey *j, struct mt_run *run, struct mt_error *e) {
    struct mt_entry *entries = NULL;
    size_t count = 0;
    struct mt_store *s = j->g->o.store;
    run->segment = j->t->segment;
    if (s->read_journal(s, run->id, run->segment, &entries, &count, e) != 0) return -1;
    const struct mt_entry *last = count ? &entries[count - 1] : NULL;
    json_t *meta = last && strcmp(last->kind, "continue") == 0 ? entry_meta(last) : NULL;
    const json_t *input = json_object_get(meta, "input"), *cursors = json_object_get(meta, "cursors");
    if (input) {
        free(run->input);
        free(run->cursors);
        run->input = mt_json_dump(input, NULL);
        run->cursors = json_is_object(cursors) ? mt_json_dump(cursors, NULL) : NULL;
        mt_copy(run->generation, sizeof run->generation, mt_json_str(meta, "generation", ""));
        run->entries = (int)count;
    }
    json_decref(meta);
    for (size_t i = 0; i < count; i++) mt_entry_clear(&entries[i]);
    free(entries);
    return input ? 0
                 : mt_fail(
                       e, MT_NOT_FOUND,
                       "what segment %d of run %s began with is not kept: an older program ran it, or it has "
                       "been long ago",
                       j->t->segment, run->id);
}

/* The run as it was in the segment, for the execution; and as it is now. */
static int read_run(struct journey *j, struct mt_run *run, struct mt_error *e) {
    const struct mt_travel *t = j->t;
    if (j->g->o.store->get_run(j->g->o.store, t->run, run, e) != 0) return -1;
    run_copy(&j->now, run);
    j->segments = run->segment + 1;
    j->newest = t->segment < 0 || t->segment == run->segment;
    if (run->gone_at) {
        mt_fail(e, MT_NOT_FOUND, "only a tombstone is left of run %s: its journal is not kept any longer",
                run->id);
    } else if (t->segment > run->segment) {
        mt_fail(e, MT_INVALID_REQUEST, "run %s is in segment %d; there is no segment %d", run->id,
                run->segment, t->segment);
    } else if (t->at < 0) {
        mt_fail(e, MT_INVALID_REQUEST, "effects count from 1, found %d", t->at);
    } else if (j->newest || earlier_segment(j, run, e) == 0) {
        if (t->generation) mt_copy(run->generation, sizeof run->generation, t->generation);
        return 0;
    }
    mt_run_clear(run);
    return -1;
}

/* What its journal has beside what the script did: how it was ended, and all that the engine did then. */
static void cut_journal(struct journey *j) {
    struct mt_exec *x = j->x;
    size_t end = 0;
    while (end < x->count && strcmp(x->entries[end]->kind, "fail") != 0 &&
           strcmp(x->entries[end]->kind, "cancel") != 0)
        end++;
    if (end == x->count && end > 0 && strcmp(x->entries[end - 1]->kind, "continue") == 0 &&
        x->entries[end - 1]->outcome == MT_DONE)
        end--;
    if (end == x->count) return;
    const struct mt_entry *last = x->entries[end];
    j->then = json_pack("{s:s, s:o, s:o}", "kind", last->kind, "at", time_text(last->at), "reason",
                        parsed(last->result));
    bool cancelled = strcmp(last->kind, "cancel") == 0;
    for (size_t i = end; i < x->count; i++) {
        mt_entry_clear(x->entries[i]);
        free(x->entries[i]);
    }
    x->count = x->stored = end;
    for (size_t i = 0; cancelled && i < end; i++) { /* a wait that was cut off had no answer for the script */
        struct mt_entry *entry = x->entries[i];
        if (entry->outcome != MT_NOT_SENT || !entry->result || !strstr(entry->result, "\"cancelled\""))
            continue;
        entry->outcome = MT_OUTCOME_NONE;
        free(entry->result);
        entry->result = NULL;
    }
}

static int run_flow(struct journey *j, struct mt_script_result *r, json_t **frames, struct mt_error *e) {
    struct mt_exec *x = j->x;
    struct mt_buf clear;
    int rc = -1;
    const char *input = x->run.input ? x->run.input : "{}";
    if (!secrets_in(&x->run))
        return j->t->execute(j->t->ctx, x, x->run.generation, x->run.flow, input, r, frames, e);
    mt_buf_init(&clear, MT_VALUE_MAX);
    if (secrets_open(j->g, &x->run, true, &clear, e) == 0) {
        json_t *marked = mt_json_parse(clear.data, clear.len, e);
        json_t *given = travel_input(x, marked); /* bare, as the script is given them */
        size_t len;
        char *text = mt_json_dump(given, &len);
        rc = j->t->execute(j->t->ctx, x, x->run.generation, x->run.flow, text, r, frames, e);
        mt_wipe(text, len);
        free(text);
        json_decref(given);
        json_decref(marked);
    }
    if (clear.len) mt_wipe(clear.data, clear.len);
    mt_buf_clear(&clear);
    return rc;
}

/* The first effect without an answer among those that the script has come to; 0: none. */
static size_t open_effect(const struct mt_exec *x) {
    for (size_t i = 0; i < x->seq && i < x->stored; i++)
        if (x->entries[i]->outcome == MT_OUTCOME_NONE) return i + 1;
    return 0;
}

static void tell_waiting(const struct journey *j, json_t *out) {
    if (!j->newest || mt_run_ended(j->now.state)) return;
    json_object_set_new(out, "waiting_for", parsed(j->now.waiting_for));
    json_object_set_new(out, "due_at", time_text(j->now.due_at));
}

static json_t *error_of(const struct mt_error *e, const char *site) {
    json_t *error = mt_error_json(e);
    if (site[0]) json_object_set_new(error, "line", json_string(site));
    return error;
}

/* It stands at an effect: one that the journal answers, or the end of the journal. */
static const char *tell_effect(const struct journey *j, size_t at, json_t *out) {
    struct mt_exec *x = j->x;
    bool answered = at <= x->stored && x->entries[at - 1]->outcome != MT_OUTCOME_NONE;
    json_object_set_new(out, "effect", effect_json(x, at));
    if (!answered) tell_waiting(j, out);
    return answered ? "effect" : "end";
}

static const char *tell_own_end(const struct mt_script_result *r, json_t *out) {
    bool returned = r->end == MT_END_RETURNED;
    if (returned || r->end == MT_END_RAISED) {
        json_object_set_new(out, returned ? "output" : "error", parsed(r->value.len ? r->value.data : NULL));
        return returned ? "returned" : "failed";
    }
    json_object_set_new(out, "error", error_of(&r->error, r->site));
    if (r->traceback.len) json_object_set_new(out, "traceback", json_string(r->traceback.data));
    return r->end == MT_END_LIMIT ? "limit" : "bug";
}

/* Where the script stands, and why there. */
static void tell_stop(const struct journey *j, const struct mt_script_result *r, json_t *out) {
    struct mt_exec *x = j->x;
    size_t open = open_effect(x), at = open ? open : x->seq + 1;
    const char *stop = "bug";
    if (x->leave == LEAVE_PARK && x->error.kind == MT_MISMATCH) {
        stop = "parted";
        at = x->seq + 1;
        json_object_set_new(out, "parted", parted_json(x));
        if (at <= x->stored) json_object_set_new(out, "effect", effect_json(x, at));
    } else if (r->end != MT_END_LEFT) {
        stop = tell_own_end(r, out);
    } else if (x->leave == LEAVE_JUDGED) {
        stop = tell_effect(j, at, out);
    } else {
        json_object_set_new(out, "error", error_of(&x->error, x->error_site));
    }
    json_object_set_new(out, "stop", json_string(stop));
    json_object_set_new(out, "at", json_integer((json_int_t)at));
    if (at > 1 && at - 1 <= x->stored)
        json_object_set_new(out, "previous", entry_json(j->g, x->entries[at - 2]));
}

static json_t *tell(struct journey *j, struct mt_script_result *r, json_t *frames) {
    struct mt_exec *x = j->x;
    json_t *out =
        json_pack("{s:s, s:s, s:i, s:i, s:i}", "flow", x->run.flow, "state", mt_run_state_name(j->now.state),
                  "segment", x->run.segment, "segments", j->segments, "effects", (int)x->stored);
    if (!(r->end == MT_END_LEFT && x->travel->stopped)) exec_judge_end(x, r);
    json_object_set_new(out, "now", time_text(x->now));
    tell_stop(j, r, out);
    if (json_object_size(x->travel->stand_ins)) json_object_set_new(out, "stand_ins", json_true());
    json_object_set(out, "then", j->then ? j->then : json_null());
    if (j->newest && j->now.error && !json_object_get(out, "error"))
        json_object_set_new(out, "error", parsed(j->now.error));
    json_object_set_new(out, "frames", frames ? frames : json_array());
    out = travel_hidden(x->travel, out);
    json_object_set_new(out, "run", json_string(x->run.id)); /* their digits are no card's */
    json_object_set_new(out, "generation", json_string(x->run.generation));
    return out;
}

static int go(struct journey *j, json_t **out, struct mt_error *e) {
    struct mt_exec *x = j->x;
    struct mt_script_result r = {0};
    json_t *frames = NULL;
    if (!exec_load_journal(x)) {
        if (x->leave == LEAVE_PARK) *e = x->error;
        return x->leave == LEAVE_PARK
                   ? -1
                   : mt_fail(e, MT_STORE, "the journal of run %s could not be read", x->run.id);
    }
    cut_journal(j);
    mt_buf_init(&r.value, MT_VALUE_MAX);
    mt_buf_init(&r.traceback, 16384);
    int rc = run_flow(j, &r, &frames, e);
    if (rc == 0 && x->travel->late) {
        rc = mt_fail(e, MT_LIMIT, "the replay took more than %d ms; it had come to effect %zu of %zu",
                     j->t->limit_ms > 0 ? j->t->limit_ms : LIMIT_MS, x->seq + 1, x->stored);
        json_decref(frames);
    } else if (rc == 0) {
        *out = tell(j, &r, frames);
    }
    mt_buf_clear(&r.value);
    mt_buf_clear(&r.traceback);
    return rc;
}

int mt_travel_providers(struct mt_exec *x, const json_t *definitions, struct mt_error *e) {
    if (!x->g->o.providers || !json_array_size(definitions)) return 0;
    struct mt_provider_set *set = mt_provider_set_new(x->g->o.providers, definitions, e);
    if (!set) return -1;
    mt_provider_set_release(x->providers);
    x->providers = set;
    return 0;
}

int mt_engine_travel(struct mt_engine *g, const struct mt_travel *t, json_t **out, struct mt_error *e) {
    int64_t limit_ms = t->limit_ms > 0 ? t->limit_ms : LIMIT_MS;
    struct travel travel = {.at = t->at,
                            .until_ns = mt_mono_ns() + limit_ms * INT64_C(1000000),
                            .strange = t->strange,
                            .secrets = json_object(),
                            .stand_ins = json_object()};
    struct journey j = {.g = g, .t = t};
    struct mt_run run;
    int rc = -1;
    *out = NULL;
    if (atomic_fetch_add(&g->travels, 1) >= TRAVELS_MAX) {
        mt_fail(e, MT_UNAVAILABLE, "%d journals are replayed already; try again", TRAVELS_MAX);
    } else if (read_run(&j, &run, e) == 0) {
        j.x = exec_new(g);
        j.x->judging = true;
        j.x->travel = &travel;
        exec_take_run(j.x, &run);
        rc = go(&j, out, e);
        exec_reset(j.x);
        exec_free(j.x);
    }
    atomic_fetch_sub(&g->travels, 1);
    mt_run_clear(&j.now);
    json_decref(j.then);
    json_decref(travel.secrets);
    json_decref(travel.stand_ins);
    free(travel.params);
    return rc;
}
