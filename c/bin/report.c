/* report.c -- `shoal report`: one HTML file from the event logs of any number of machines
 * (fleet/report.h). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/object.h"
#include "bin/command.h"
#include "fleet/report.h"

struct wishes {
    struct option_rest logs;
    const char *output;
    bool watch, json;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static bool take_options(int argc, char **argv, struct wishes *o, int *code)
{
    o->output = "report.html";
    const struct option_row rows[] = {
        {"LOG", .argument = true, .rest = &o->logs,
         .missing = "name the event logs (metrics.log of each worker)"},
        {"out", 'o', .text = &o->output, .value = "FILE", .help = "the file to write"},
        {"watch", .flag = &o->watch,
         .help = "write it again while the logs grow, until Ctrl-C; an open page follows"},
        COMMAND_JSON(&o->json),
        {0}};
    struct options table = {
        .command = "shoal report",
        .about = "Builds one HTML file from the event logs of any number of machines: what came "
                 "of the run, its curves, its events. It holds all it needs; no server, no "
                 "network.",
        .notes = "Parts of a log that was renamed (logrotate) go together first: cat log.jsonl.1 "
                 "log.jsonl > all.jsonl",
        .rows = rows};
    return command_options("report", &table, argc, argv, code);
}

/* Only an older report may be overwritten: otherwise `-o` followed by a log's name would destroy
 * the log. */
static enum err check_output(const char *path, struct why *w)
{
    static const char begin[] = "<!doctype html>";
    char head[512] = "";
    FILE *f = fopen(path, "rb");
    if (!f) return ERR_OK;
    head[fread(head, 1, sizeof head - 1, f)] = 0;
    fclose(f);
    if (!strncmp(head, begin, sizeof begin - 1) && strstr(head, "<title>shoal")) return ERR_OK;
    return why(w, ERR_USAGE, "%s exists and is no report: name another file with --out", path);
}

static enum err say(const struct wishes *o, const struct report *r, struct why *w)
{
    uint64_t lines = 0, tokens = 0;
    for (size_t i = 0; i < r->count; i++) {
        lines += r->logs[i].odd_lines;
        tokens += r->logs[i].tokens;
    }
    if (lines)
        fprintf(stderr,
                "shoal report: %llu lines of the logs are not events and were passed over\n",
                (unsigned long long)lines);
    if (!o->json) {
        puts(o->output);
        return ERR_OK;
    }
    json_t *out = json_object();
    object_text(out, "report", o->output);
    object_u64(out, "logs", r->count);
    object_u64(out, "lines_passed_over", lines);
    object_u64(out, "tokens", tokens);
    object_u64(out, "tokens_planned", report_planned(r));
    object_u64(out, "tokens_of_plan", report_done(r));
    return object_print(out, w);
}

static enum err follow(const struct wishes *o, struct report *r, struct why *w)
{
    enum err e = ERR_OK;
    fprintf(stderr, "shoal report: follows the logs until Ctrl-C\n");
    while (!e && !interrupted) {
        nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
        if (!interrupted && report_read(r)) e = report_write(r, o->output, NULL, true, w);
    }
    return e ? e : report_write(r, o->output, NULL, false, w);
}

int report_main(int argc, char **argv)
{
    struct why w = {0};
    struct report r = {0};
    struct wishes o = {0};
    int code;
    if (!take_options(argc, argv, &o, &code)) return code;
    if (o.watch) {
        struct sigaction act = {.sa_handler = on_interrupt};
        sigaction(SIGINT, &act, NULL);
        sigaction(SIGTERM, &act, NULL);
    }
    enum err e = check_output(o.output, &w);
    if (!e) e = report_open(&r, o.logs.items, o.logs.count, &w);
    if (!e) e = report_write(&r, o.output, NULL, o.watch, &w);
    if (!e) e = say(&o, &r, &w);
    if (!e && o.watch) e = follow(&o, &r, &w);
    report_close(&r);
    return e ? command_failed("report", &w) : 0;
}
