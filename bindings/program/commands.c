/* The table of commands, and the help that is printed from it. Immutable; any thread. */
#include "base/buf.h"
#include "base/text.h"
#include "program.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char dev_details[] = "Starts the runtime and the sandbox of the four providers together, with "
                                  "one clock, and keeps the runtime running: it is\n"
                                  "started again when it dies, and its runs carry on. Flows are loaded again "
                                  "as you save them. Prints where to click.\n";

static const char serve_details[] = "Runs flows and serves the HTTP API, webhooks and checkout pages. "
                                    "Providers' credentials come from the configuration file\n"
                                    "(\"providers\": {\"mintro\": {\"client_id\": ...}}) or the environment "
                                    "(MINTAGE_MINTRO_CLIENT_SECRET, ...). Stops on\n"
                                    "SIGTERM or SIGINT when the requests under way are answered. When the "
                                    "folder of flows is missing and --flows is not given,\n"
                                    "the flows that ship with Mintage are served.\n";

static const char sandbox_details[] =
    "Emulates Mintro, Paymnt, MINT and Paymint at their documented paths, for any client in any language. "
    "Loopback only.\n"
    "\n"
    "Credentials (they work here and are refused everywhere else):\n"
    "  Mintro           X-Client-ID: mintro_test_client   X-Client-Secret: mintro_test_secret\n"
    "  Paymnt           api-key: sk_sandbox_mintage       x-profile-id: pro_sandbox (optional)\n"
    "  MINT reseller    public key mint_test_public       private key mint_test_private\n"
    "  MINT redemption  app_key 32a13829f2635187\n"
    "  Paymint (Pro)    X-API-KEY: mmk_test_key           X-Paymint-MMK-Mode: true, member test_member,\n"
    "                   merchant test_merchant; or X-Paymint-Api-Key: paymint_test_key, business number "
    "1234567890\n"
    "  Paymint (Basic)  X-API-KEY: mmk_test_basic         answers 402 on protected endpoints\n"
    "  Paymint (others) mmk_test_paymint (Paymint-only)   mmk_test_multi (two licences)   mmk_test_none "
    "(none)\n"
    "\n"
    "Test cards, with any expiry date to come and any security code; every other number is refused:\n"
    "  4242424242424242  4111111111111111  5555555555554444   succeeded\n"
    "  378282246310005  6011111111111117  38000000000006   succeeded\n"
    "  4000000000000002  5105105105105100   card declined\n"
    "  4000000000009995   insufficient funds\n"
    "  4000000000009987   lost card\n"
    "  4000000000009979   stolen card\n"
    "  4000000000000069   expired card\n"
    "  4000000000000127   incorrect cvc\n"
    "  4000000000000119   processing error\n"
    "  4000003800000446  4000000000003220  4000002500003155   3-D Secure challenge, then succeeded\n"
    "  4000008400001629   3-D Secure challenge, then card declined\n"
    "  4000008260003178   3-D Secure challenge, then insufficient funds\n"
    "  4000000000000341   succeeded; every later charge of it (subscriptions, AutoPay): card declined\n"
    "  4000000000009904   succeeded; every later charge of it: lost card\n"
    "  4000002760003184   3-D Secure challenge, then succeeded; every later charge: authentication failed\n"
    "\n"
    "Amounts, where no card decides (Paymint's pay apps) and for AutoPay charges: the price's last two "
    "digits.\n"
    "  ...05  declined: code 9999\n"
    "  ...51  not enough money: code 9999\n"
    "  ...54  the card has expired: code 9999\n"
    "  ...96  the upstream breaks, nothing is charged: code 5000\n"
    "\n"
    "Control, without credentials: /_sandbox/requests, ledger, state, faults, clock, endpoints, webhooks, "
    "pay, balance, activate, issue.\n"
    "  curl -d '{\"advance\":\"30d\"}' http://127.0.0.1:8090/_sandbox/clock\n"
    "  curl -d "
    "'{\"match\":{\"provider\":\"mintro\",\"operation\":\"intents.create\"},\"fault\":\"drop_response\","
    "\"times\":1}' \\\n"
    "       http://127.0.0.1:8090/_sandbox/faults\n";

static const char run_details[] =
    "Starts a run of FLOW on a running runtime, waits for its end and prints it. The input is JSON on the "
    "command line, @FILE to\n"
    "read it from a file, or - to read it from standard input. Exit code 1 unless the run completed.\n"
    "  mintage run checkout @order.json --key order-1001\n";

static const char runs_details[] =
    "  mintage runs list [--flow F] [--state S] [--key K] [--limit N] [--json]\n"
    "  mintage runs show ID [--json]              the story of a run, effect by effect\n"
    "  mintage runs find [TEXT] [--reference R] [--email E] [--amount A] [--last4 D] [--since T] [--flow F]\n"
    "                                             runs by what is in them or in their journals, newest "
    "first\n"
    "  mintage runs cancel ID [--reason TEXT]     undo what it did, and end\n"
    "  mintage runs retry ID                      carry on a run that needs attention\n"
    "  mintage runs resolve ID SEQ --outcome done --value JSON\n"
    "                                             settle by hand an effect whose outcome is not known\n"
    "  mintage runs migrate [ID] [--flow F] [--dry-run] [--json]\n"
    "                                             move runs to the newest code: each is replayed against it "
    "first,\n"
    "                                             and those that part ways are listed and stay; exit code 1 "
    "if any does\n"
    "  mintage runs purge [--before 30d|DATE] [--flow F] [--dry-run] [--yes] [--json]\n"
    "                                             forget runs that have ended, before their time: of each a "
    "tombstone stays,\n"
    "                                             so that its key starts nothing twice (see --retain of "
    "mintage serve)\n"
    "  mintage runs erase ID [--yes] [--json]     forget what an ended run, and the ended ones it had "
    "started, know of a person\n"
    "States: queued running sleeping waiting compensating completed failed cancelled needs_attention.\n";

static const char events_details[] =
    "  mintage events list [--topic T] [--key K] [--unread | --late] [--limit N] [--json]\n"
    "  mintage events show N [--json]             one event, whole\n"
    "  mintage events redeliver N [--again]       once more, as a new event, for the runs that wait for it\n"
    "An event that no run has read is marked with *. Hints of providers (a payment changed) may be "
    "redelivered "
    "at any time, since\n"
    "the payment itself is read then; of other events a flow may count one more, so they want --again.\n";

static const char schedules_details[] = "Lists what the runtime starts by the clock: each schedule's flow, "
                                        "its times, when it is due next, and its "
                                        "last run.\n"
                                        "A file of flows registers one with flow.every(\"1h\", \"sweep\") or "
                                        "flow.cron(\"0 3 * * *\", \"sweep\", {}, "
                                        "{ zone = \"Asia/Seoul\" }).\n"
                                        "mintage run sweep starts the flow now.\n";

static const char providers_details[] =
    "  mintage providers                          all providers and their operations\n"
    "  mintage providers paymnt                   one: credentials, operations with parameters, errors\n"
    "  mintage providers paymnt.payments.create   one operation\n"
    "Printed from the tables that calls are checked against; needs no runtime. With --live or --url, also "
    "what "
    "a running runtime says\n"
    "of accounts, breakers and calls.\n";

static const char check_details[] =
    "Loads the flows without running them and reads them line by line: names that are not there, operations "
    "and "
    "their fields,\n"
    "values that do not fit, money beside numbers, effects where there can be none, lines that are never "
    "reached. "
    "PATH is a\n"
    "folder of flows or one file; without it, the folder of --flows. Prints FILE:LINE:COLUMN: error|warning: "
    "MESSAGE, "
    "as compilers\n"
    "do; a comment \"-- mintage: ignore\" silences its line. Exit code 1 when anything is found.\n";

static const char test_details[] =
    "Runs specs (busted) under Mintage's own Lua 5.4. PATH is a spec file or a folder of *_spec.lua "
    "(default: "
    "specs, tests/spec or\n"
    "spec). What stands after -- goes to busted:\n"
    "  mintage test tests/flows/checkout_spec.lua -- --output=TAP\n"
    "\n"
    "require \"mintage.world\" gives a spec simulated worlds: runtime and sandbox in one process, virtual "
    "time, "
    "a network and\n"
    "disks that a seed decides. At the end of each world it is checked that money and runs agree. Then\n"
    "  mintage test tests/flows --crash           each test again, once for each point at which the runtime "
    "could die:\n"
    "                                             before and after each sync, each request, each answer\n"
    "  mintage test tests/flows --faults 50       each test again, with 50 schedules of lost, late, double "
    "and "
    "refused\n"
    "                                             requests and answers, wrong clocks and deaths; what fails "
    "is "
    "made small\n"
    "  mintage test ... --replay 'p37 n12:lost'   just that, as a failure printed it: point 37, exchange 12\n"
    "require \"mintage.testing\" gets a spec at running programs, HTTP and JSON.\n";

static const char new_details[] =
    "Writes flows/NAME.lua, a small flow that works, and specs/NAME_spec.lua, its stories in a simulated "
    "world,\n"
    "to be changed into what you want. NAME is how the flow is started: a letter, then letters, digits, - "
    "and "
    "_.\n"
    "Refuses to touch a file that is there. The spec goes to where mintage test looks: specs, or tests/spec "
    "or spec\n"
    "when one of them is there already.\n"
    "  mintage new tip && mintage check flows && mintage test\n"
    "  mintage new refund --shipped               copies a flow that ships: a folder of flows of your own "
    "replaces them all\n";

static const char audit_details[] =
    "Lists what people did, the newest first: each command at a console with what it came to, each operation "
    "and\n"
    "other effect of it, and what was done to runs and events over the API. Secrets are masked.\n"
    "  mintage audit --user ann --since 1d [--limit N] [--json]\n"
    "A person is who the console's socket or the admin token let in, by the name that he gave himself.\n";

static const char repl_details[] =
    "Lua at a running runtime: the modules of flows with every provider live, and runs, events, providers,\n"
    "flows, ledger and more as objects. help() explains. At a terminal with editing, history and "
    "completion;\n"
    "code also comes from -e, or from standard input when that is no terminal: a statement at a time, until "
    "one\n"
    "fails. What moves money says how much to whom, and asks; every command is audited.\n"
    "  mintage repl                               at the runtime of ./mintage-data\n"
    "  mintage repl -e 'runs.list{state=\"needs_attention\"}' --json    values as JSON, one a line\n"
    "  mintage repl --read-only < night.lua       a script that can change nothing\n"
    "  mintage repl --run run_01... --at 3        time travel: that run at its third effect\n"
    "How the runtime is reached: with --offline the folder --data is opened in this process, which no "
    "runtime\n"
    "may hold meanwhile; with --url or --token by HTTP; else through the socket in --data, which only its "
    "owner\n"
    "can open, and by HTTP when there is none. Where nobody can be asked (no terminal), what would ask is\n"
    "refused, unless --yes. Entered lines are kept in $XDG_STATE_HOME/mintage/history (~/.local/state), but\n"
    "none that begins with a space or seems to hold a card's number, an ePIN or a secret.\n";

const struct mt_command mt_commands[] = {
    {"dev", MT_CMD_DEV, "", "runtime and sandbox together, for writing flows", dev_details, 0, 0,
     mt_dev_command},
    {"serve", MT_CMD_SERVE, "", "the runtime alone", serve_details, 0, 0, mt_serve_command},
    {"sandbox", MT_CMD_SANDBOX, "", "the four providers alone, emulated", sandbox_details, 0, 0,
     mt_sandbox_command},
    {"run", MT_CMD_RUN, "FLOW [JSON|@FILE|-]", "start a run, wait for its end and print it", run_details, 1,
     2, mt_run_command},
    {"runs", MT_CMD_RUNS, "list|show|find|cancel|retry|resolve|migrate|purge|erase ...",
     "look at runs, and take a hand in them", runs_details, 1, 3, mt_runs_command},
    {"events", MT_CMD_EVENTS, "list|show|redeliver ...", "look at events, and deliver one again",
     events_details, 1, 2, mt_events_command},
    {"schedules", MT_CMD_SCHEDULES, "", "what is started by the clock, and when next", schedules_details, 0,
     0, mt_schedules_command},
    {"audit", MT_CMD_AUDIT, "", "what people did: commands at consoles, and deeds over the API",
     audit_details, 0, 0, mt_audit_command},
    {"repl", MT_CMD_REPL, "", "a Lua console at a running runtime, or at a data folder", repl_details, 0, 0,
     mt_repl_command},
    {"providers", MT_CMD_PROVIDERS, "[NAME]", "what providers offer: operations, parameters, errors",
     providers_details, 0, 1, mt_providers_command},
    {"new", MT_CMD_NEW, "NAME", "a new flow with its spec", new_details, 1, 1, mt_new_command},
    {"check", MT_CMD_CHECK, "[PATH]", "find mistakes in flows without running them", check_details, 0, 1,
     mt_check_command},
    {"test", MT_CMD_TEST, "[PATH ...] [-- BUSTED OPTIONS]", "run specs", test_details, 0, -1,
     mt_test_command},
    {NULL, 0, NULL, NULL, NULL, 0, 0, NULL},
};

const struct mt_command *mt_command_find(const char *name) {
    for (const struct mt_command *c = mt_commands; c->name; c++) {
        if (strcmp(c->name, name) == 0) return c;
    }
    return NULL;
}

const char *mt_command_nearest(const char *name) {
    const char *names[sizeof mt_commands / sizeof mt_commands[0] + 1];
    size_t n = 0;
    for (const struct mt_command *c = mt_commands; c->name; c++) names[n++] = c->name;
    names[n++] = "help";
    names[n++] = "version";
    return mt_nearest(name, names, n);
}

/* The keys of providers' sections, a provider a line. */
static void provider_help(FILE *out) {
    const char *before = "";
    fprintf(out, "Providers, in the configuration file (\"providers\": {\"mintro\": {\"client_id\": ...}}) "
                 "or as variables\n"
                 "(MINTAGE_MINTRO_CLIENT_ID):");
    for (size_t i = 0; i < mt_program_settings.provider_key_count; i++) {
        const struct mt_provider_key *key = &mt_program_settings.provider_keys[i];
        if (strcmp(before, key->provider) != 0) fprintf(out, "\n  %-9s", key->provider);
        before = key->provider;
        fprintf(out, " %s", key->key);
    }
    fprintf(out, "\n");
}

void mt_command_help(const struct mt_command *c, FILE *out) {
    fprintf(out, "mintage %s %s%s[OPTIONS]\n\n%s\n", c->name, c->arguments, *c->arguments ? " " : "",
            c->details);
    struct mt_buf options;
    mt_buf_init(&options, 64 * 1024);
    mt_config_help(&mt_program_settings, c->bit, &options);
    fprintf(out, "Options:\n%s", options.data);
    mt_buf_clear(&options);
    if (c->bit & (MT_CMD_SERVE | MT_CMD_DEV)) provider_help(out);
    fprintf(out, "Exit codes: 0 done, 1 failed, 2 wrong usage.\n");
}

void mt_program_help(FILE *out) {
    fprintf(out, "Mintage %s: durable payment flows in Lua.\n\nUsage: mintage COMMAND [OPTIONS]\n\n",
            MT_VERSION);
    for (const struct mt_command *c = mt_commands; c->name; c++)
        fprintf(out, "  %-9s %s\n", c->name, c->summary);
    fprintf(out, "  %-9s %s\n  %-9s %s\n", "help", "help COMMAND: all about one command", "version",
            "the version");
    fprintf(out, "\nStart here: mintage dev\n");
}

int mt_usage(const struct mt_command *c, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "mintage %s: ", c->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nTry: mintage %s --help\n", c->name);
    va_end(args);
    return MT_EXIT_USAGE;
}

int mt_report(const struct mt_error *e) {
    fprintf(stderr, "mintage: %s\n", e->message);
    return e->kind == MT_USAGE ? MT_EXIT_USAGE : MT_EXIT_FAILED;
}
