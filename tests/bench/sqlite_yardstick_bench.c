/*
 * What SQLite can do as a queue with nothing around it: one table, one index, prepared statements,
 * WAL with synchronous=FULL, so many messages in a commit. The yardstick of the embedded queue.
 *
 *   sqlite_yardstick_bench [--per-commit 64] [--messages 20000] [--body-bytes 512]
 *                          [--file yardstick.db]
 *
 * First inserts all messages, then takes them in order of visibility (one commit hides them) and
 * deletes them (another commit). Prints one line of JSON: inserts_per_s, receive_deletes_per_s,
 * insert_commits_per_s. The file must not exist; it is removed at the end.
 */
#include "sluice/base/clock.h"
#include "sluice/base/mem.h"
#include "sluice/base/str.h"

#include <getopt.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PER_COMMIT_MAX 4096
#define BODY_MAX_BYTES 65536
#define NEVER_SEEN     INT64_C(0)
#define HIDDEN_UNTIL   INT64_C(1) << 50

struct bench {
    int64_t per_commit, messages, body_bytes;
    const char *path;
    char *body;
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *insert, *take, *hide, *delete;
    int64_t taken[PER_COMMIT_MAX];
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / (double)NS_PER_S;
}

static void check(struct bench *bench, int code)
{
    if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE) {
        fprintf(stderr, "sqlite_yardstick_bench: %s: %s\n", bench->path, sqlite3_errmsg(bench->db));
        exit(1);
    }
}

static void step(struct bench *bench, sqlite3_stmt *statement)
{
    check(bench, sqlite3_step(statement));
    check(bench, sqlite3_reset(statement));
}

static void prepare(struct bench *bench, const char *sql, sqlite3_stmt **ret_statement)
{
    check(bench,
          sqlite3_prepare_v3(bench->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL));
}

static void open_bench(struct bench *bench)
{
    static const char setup[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                "CREATE TABLE message(id INTEGER PRIMARY KEY, visible_at INTEGER "
                                "NOT NULL, receives INTEGER NOT NULL, body BLOB NOT NULL);"
                                "CREATE INDEX message_due ON message(visible_at, id);";
    bench->body = mem_zalloc((size_t)bench->body_bytes, 1);
    memset(bench->body, 'x', (size_t)bench->body_bytes);
    check(bench,
          sqlite3_open_v2(bench->path, &bench->db,
                          SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
    check(bench, sqlite3_exec(bench->db, setup, NULL, NULL, NULL));
    prepare(bench, "BEGIN IMMEDIATE", &bench->begin);
    prepare(bench, "COMMIT", &bench->commit);
    prepare(bench, "INSERT INTO message(visible_at, receives, body) VALUES(?1, 0, ?2)",
            &bench->insert);
    prepare(bench,
            "SELECT id, body FROM message WHERE visible_at <= ?1 ORDER BY visible_at, id LIMIT ?2",
            &bench->take);
    prepare(bench, "UPDATE message SET visible_at = ?1, receives = receives + 1 WHERE id = ?2",
            &bench->hide);
    prepare(bench, "DELETE FROM message WHERE id = ?1", &bench->delete);
}

static void close_bench(struct bench *bench)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    sqlite3_stmt *const all[] = {bench->begin, bench->commit, bench->insert,
                                 bench->take,  bench->hide,   bench->delete};
    char path[4096];
    for (size_t i = 0; i < SL_COUNT(all); i++) {
        sqlite3_finalize(all[i]);
    }
    sqlite3_close(bench->db);
    for (size_t i = 0; i < SL_COUNT(suffixes); i++) {
        snprintf(path, sizeof(path), "%s%s", bench->path, suffixes[i]);
        unlink(path);
    }
    free(bench->body);
}

static void insert_some(struct bench *bench, int64_t count)
{
    step(bench, bench->begin);
    for (int64_t i = 0; i < count; i++) {
        sqlite3_bind_int64(bench->insert, 1, NEVER_SEEN);
        sqlite3_bind_blob(bench->insert, 2, bench->body, (int)bench->body_bytes, SQLITE_STATIC);
        step(bench, bench->insert);
    }
    step(bench, bench->commit);
}

/* How many were received and deleted. */
static int64_t take_some(struct bench *bench)
{
    int64_t count = 0;
    step(bench, bench->begin);
    sqlite3_bind_int64(bench->take, 1, NEVER_SEEN);
    sqlite3_bind_int64(bench->take, 2, bench->per_commit);
    while (sqlite3_step(bench->take) == SQLITE_ROW) {
        bench->taken[count++] = sqlite3_column_int64(bench->take, 0);
        if (sqlite3_column_bytes(bench->take, 1) != bench->body_bytes) {
            abort();
        }
    }
    check(bench, sqlite3_reset(bench->take));
    for (int64_t i = 0; i < count; i++) {
        sqlite3_bind_int64(bench->hide, 1, HIDDEN_UNTIL);
        sqlite3_bind_int64(bench->hide, 2, bench->taken[i]);
        step(bench, bench->hide);
    }
    step(bench, bench->commit);
    step(bench, bench->begin);
    for (int64_t i = 0; i < count; i++) {
        sqlite3_bind_int64(bench->delete, 1, bench->taken[i]);
        step(bench, bench->delete);
    }
    step(bench, bench->commit);
    return count;
}

static int parse_options(struct bench *bench, int argc, char **argv)
{
    static const struct option names[] = {{"per-commit", required_argument, NULL, 'p'},
                                          {"messages", required_argument, NULL, 'm'},
                                          {"body-bytes", required_argument, NULL, 'b'},
                                          {"file", required_argument, NULL, 'f'},
                                          {NULL, 0, NULL, 0}};
    int option, code = 0;
    bench->per_commit = 64;
    bench->messages = 20000;
    bench->body_bytes = 512;
    bench->path = "yardstick.db";
    while (code == 0 && (option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        struct str value = str_from(optarg);
        if (option == 'p') {
            code = str_to_i64(value, 1, PER_COMMIT_MAX, &bench->per_commit);
        } else if (option == 'm') {
            code = str_to_i64(value, 1, INT32_MAX, &bench->messages);
        } else if (option == 'b') {
            code = str_to_i64(value, 1, BODY_MAX_BYTES, &bench->body_bytes);
        } else if (option == 'f') {
            bench->path = optarg;
        } else {
            code = ERR_INVALID;
        }
    }
    return code != 0 || optind != argc ? ERR_INVALID : 0;
}

int main(int argc, char **argv)
{
    struct bench *bench = MEM_NEW(struct bench);
    if (parse_options(bench, argc, argv) != 0) {
        fprintf(stderr, "usage: sqlite_yardstick_bench [--per-commit 64] [--messages 20000] "
                        "[--body-bytes 512] [--file yardstick.db]\n");
        return 2;
    }
    if (access(bench->path, F_OK) == 0) {
        fprintf(stderr, "sqlite_yardstick_bench: %s exists: name another --file\n", bench->path);
        return 1;
    }
    open_bench(bench);
    int64_t commits = 0, taken = 0, count;
    double began = now_s();
    for (int64_t left = bench->messages; left > 0; left -= count) {
        count = left < bench->per_commit ? left : bench->per_commit;
        insert_some(bench, count);
        commits++;
    }
    double inserted = now_s();
    while ((count = take_some(bench)) > 0) {
        taken += count;
    }
    double drained = now_s();
    printf("{\"per_commit\":%lld,\"messages\":%lld,\"inserts_per_s\":%.1f,"
           "\"receive_deletes_per_s\":%.1f,\"insert_commits_per_s\":%.1f}\n",
           (long long)bench->per_commit, (long long)taken,
           (double)bench->messages / (inserted - began), (double)taken / (drained - inserted),
           (double)commits / (inserted - began));
    bool complete = taken == bench->messages;
    close_bench(bench);
    free(bench);
    return complete ? 0 : 1;
}
