/* create, send, purge, rm. */
#include "queue_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ATTRIBUTES_SHOWN "VisibilityTimeout, DelaySeconds, MessageRetentionPeriod, RedrivePolicy"

/* ---- create ---- */

static const char create_usage[] =
    "usage: sluice queue create NAME [--attribute NAME=VALUE …] [--data-dir DIR]\n\n"
    "Makes a queue; a FIFO queue when NAME ends in .fifo. --attribute may be given several times "
    "and takes\nthe names of SQS: " ATTRIBUTES_SHOWN ", …\n"
    "  sluice queue create jobs --attribute VisibilityTimeout=60\n"
    "  sluice queue create orders.fifo --attribute ContentBasedDeduplication=true\n";

static int read_attributes(const struct cli_command *command, const struct cli_texts *texts,
                           struct sqs_map *ret)
{
    for (uint32_t i = 0; i < texts->count; i++) {
        if (queue_pair_parse(texts->items[i], &ret->items[ret->count]) != 0) {
            return cli_usage_error(command, "--attribute \"%s\": give NAME=VALUE", texts->items[i]);
        }
        ret->count++;
    }
    ret->set = ret->count > 0;
    return CLI_GO;
}

static int create(struct queue_client *client, const char *name, struct sqs_map *attributes)
{
    const struct sqs_get_queue_url_in find = {.queue_name = str_from(name)};
    struct sqs_create_queue_in in = {.queue_name = str_from(name), .attributes = *attributes};
    int code = queue_client_run(
        client,
        &(struct queue_call){
            .action = SQS_GET_QUEUE_URL, .input = &find, .queue = name, .quiet = true},
        NULL);
    bool was_there = code == EXIT_CODE_DONE;

    if (code != EXIT_CODE_DONE && code != QUEUE_NOT_THERE) {
        return code;
    }
    code = queue_client_run(
        client, &(struct queue_call){.action = SQS_CREATE_QUEUE, .input = &in, .queue = name},
        NULL);
    if (code == EXIT_CODE_DONE) {
        (void)printf("queue %s: %s\n", name, was_there ? "was there already" : "created");
    }
    return code;
}

int queue_create(int argc, char **argv)
{
    const char *data_dir = NULL;
    struct cli_texts texts = {.count = 0};
    const struct cli_option options[] = {
        CLI_DATA_DIR(data_dir),
        {.name = "attribute", .letter = 'a', .kind = CLI_TEXTS, .ret = &texts},
    };
    const struct cli_command command = {
        "sluice queue create", create_usage, options, SL_COUNT(options), 1, 1};
    struct sqs_pair pairs[CLI_TEXTS_MAX + 1] = {{STR_NONE, STR_NONE}};
    struct sqs_map attributes = {.items = pairs};
    struct queue_client client;
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);

    code = code == CLI_GO ? read_attributes(&command, &texts, &attributes) : code;
    if (code != CLI_GO) {
        return code;
    }
    const char *name = words.items[0];
    if (queue_name_check(name) != EXIT_CODE_DONE) {
        return EXIT_CODE_USAGE;
    }
    if (sqs_queue_name_is_fifo(str_from(name)) &&
        sqs_map_get(&attributes, STR("FifoQueue")).ptr == NULL) {
        pairs[attributes.count++] = (struct sqs_pair){STR("FifoQueue"), STR("true")};
        attributes.set = true;
    }
    queue_client_init(&client, data_dir);
    code = create(&client, name, &attributes);
    queue_client_done(&client);
    return code;
}

/* ---- send ---- */

static const char send_usage[] =
    "usage: sluice queue send NAME [BODY | --file FILE | -] [options]\n\n"
    "Puts one message on the queue and prints its id. The body is taken as it is; - reads it from\n"
    "standard input.\n\n"
    "  --delay S            hidden for S seconds (0 to 900)\n"
    "  --group G            message group (FIFO queues need one)\n"
    "  --dedup-id D         deduplication id (FIFO)\n"
    "  --attribute NAME=VALUE\n"
    "                       a message attribute of type String; may be given 10 times\n"
    "  --data-dir DIR\n";

struct send {
    const char *data_dir, *file, *group, *deduplication_id;
    struct cli_number delay;
    struct cli_texts attributes;
};

/* EXIT_CODE_DONE, or said what is wrong. */
static int read_body(const char *path, struct buf *body)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : 1;

    while (n > 0 && body->len <= SQS_BATCH_BYTES_MAX) {
        char *room = buf_reserve(body, 65536);
        n = room == NULL ? 0 : read(fd, room, 65536);
        if (n > 0) {
            buf_commit(body, (size_t)n);
        }
    }
    int error = n < 0 ? errno : 0;
    if (fd >= 0 && !standard) {
        (void)close(fd);
    }
    if (error != 0) {
        (void)fprintf(stderr, "sluice: %s: cannot be read: %s\n", path, strerror(error));
        return EXIT_CODE_FAILED;
    }
    if (body->len > SQS_BATCH_BYTES_MAX) {
        (void)fprintf(stderr, "sluice: %s: larger than what a message may hold, %d bytes\n", path,
                      SQS_BATCH_BYTES_MAX);
        return EXIT_CODE_FAILED;
    }
    return EXIT_CODE_DONE;
}

static int submit(const struct send *send, const char *name, struct str body,
                  struct sqs_attributes *attributes)
{
    const struct sqs_send_message_in in = {
        .queue_url = str_from(name),
        .entry = {.body = body,
                  .delay_seconds = {send->delay.set, send->delay.value},
                  .attributes = *attributes,
                  .group_id = str_from(send->group),
                  .deduplication_id = str_from(send->deduplication_id)},
    };
    struct queue_client client;
    void *answer = NULL;

    if (!sqs_text_is_valid(body)) {
        (void)fprintf(stderr, "sluice: the body is no text that SQS takes (UTF-8 without control "
                              "characters); encode it, as with base64\n");
        return EXIT_CODE_FAILED;
    }
    queue_client_init(&client, send->data_dir);
    int code = queue_client_run(
        &client, &(struct queue_call){.action = SQS_SEND_MESSAGE, .input = &in, .queue = name},
        &answer);
    if (code == EXIT_CODE_DONE) {
        const struct sqs_send_result *out = answer;
        (void)printf("%.*s\n", STR_FMT(out->message_id));
    }
    queue_client_done(&client);
    return code;
}

static int send_words(const struct send *send, const struct cli_command *command,
                      const struct cli_words *words, struct sqs_attributes *attributes)
{
    const char *name = words->items[0];
    const char *text = words->count > 1 ? words->items[1] : NULL;
    struct buf body;

    if ((text != NULL) == (send->file != NULL)) {
        return cli_usage_error(command, "give a body, --file FILE, or - for standard input");
    }
    if (queue_name_check(name) != EXIT_CODE_DONE) {
        return EXIT_CODE_USAGE;
    }
    if (text != NULL && strcmp(text, "-") != 0) {
        return submit(send, name, str_from(text), attributes);
    }
    buf_init(&body, SQS_BATCH_BYTES_MAX + (size_t)131072);
    int code = read_body(text != NULL ? text : send->file, &body);
    if (code == EXIT_CODE_DONE) {
        code = submit(send, name, buf_str(&body), attributes);
    }
    buf_done(&body);
    return code;
}

int queue_send(int argc, char **argv)
{
    struct send send = {.data_dir = NULL};
    const struct cli_option options[] = {
        CLI_DATA_DIR(send.data_dir),
        {.name = "file", .letter = 'f', .kind = CLI_TEXT, .ret = &send.file, .wanted = "a file"},
        {.name = "group", .letter = 'g', .kind = CLI_TEXT, .ret = &send.group},
        {.name = "dedup-id", .kind = CLI_TEXT, .ret = &send.deduplication_id},
        {.name = "delay",
         .kind = CLI_NUMBER,
         .ret = &send.delay,
         .wanted = "seconds",
         .max = SQS_DELAY_SECONDS_MAX},
        {.name = "attribute", .letter = 'a', .kind = CLI_TEXTS, .ret = &send.attributes},
    };
    const struct cli_command command = {"sluice queue send", send_usage, options,
                                        SL_COUNT(options),   1,          2};
    struct sqs_pair pairs[CLI_TEXTS_MAX] = {{STR_NONE, STR_NONE}};
    struct sqs_map map = {.items = pairs};
    struct sqs_attribute items[CLI_TEXTS_MAX];
    struct sqs_attributes attributes = {.items = items};
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);

    code = code == CLI_GO ? read_attributes(&command, &send.attributes, &map) : code;
    if (code != CLI_GO) {
        return code;
    }
    for (uint32_t i = 0; i < map.count; i++) {
        items[i] = (struct sqs_attribute){
            .name = pairs[i].name, .data_type = STR("String"), .string_value = pairs[i].value};
    }
    attributes.count = map.count;
    attributes.set = map.set;
    return send_words(&send, &command, &words, &attributes);
}

/* ---- purge and rm ---- */

static const char purge_usage[] =
    "usage: sluice queue purge NAME [--yes] [--data-dir DIR]\n\n"
    "Deletes all messages of the queue, those in flight too. Asks first on a terminal; elsewhere "
    "it needs\n--yes.\n";
static const char rm_usage[] =
    "usage: sluice queue rm NAME [--yes] [--data-dir DIR]\n\n"
    "Deletes the queue and all its messages. Asks first on a terminal; elsewhere it needs --yes.\n"
    "A queue that the configuration declares comes back, empty, at the next start.\n";

static int count_messages(struct queue_client *client, const char *name, int64_t *ret)
{
    static const char *const names[] = {"ApproximateNumberOfMessages",
                                        "ApproximateNumberOfMessagesNotVisible",
                                        "ApproximateNumberOfMessagesDelayed"};
    int code = EXIT_CODE_DONE;

    *ret = 0;
    for (size_t i = 0; i < SL_COUNT(names) && code == EXIT_CODE_DONE; i++) {
        struct str text = STR_NONE;
        int64_t number = 0;
        code = queue_client_attribute(client, name, names[i], &text);
        if (code == EXIT_CODE_DONE && str_to_i64(text, 0, INT64_MAX, &number) == 0) {
            *ret += number;
        }
    }
    return code;
}

static int remove_messages(int argc, char **argv, enum sqs_action action, const char *title,
                           const char *usage)
{
    const char *data_dir = NULL;
    bool yes = false;
    const struct cli_option options[] = {
        CLI_DATA_DIR(data_dir),
        {.name = "yes", .letter = 'y', .kind = CLI_FLAG, .ret = &yes},
    };
    const struct cli_command command = {title, usage, options, SL_COUNT(options), 1, 1};
    struct queue_client client;
    struct cli_words words;
    int64_t count = 0;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    const char *name = words.items[0];
    if (queue_name_check(name) != EXIT_CODE_DONE) {
        return EXIT_CODE_USAGE;
    }
    const struct sqs_queue_in in = {str_from(name)};
    queue_client_init(&client, data_dir);
    code = count_messages(&client, name, &count);
    if (code == EXIT_CODE_DONE) {
        code = queue_confirm(&command, yes, "Delete %s%lld messages of queue %s?",
                             action == SQS_DELETE_QUEUE ? "the queue and all " : "all ",
                             (long long)count, name);
    }
    if (code == CLI_GO) {
        code = queue_client_run(
            &client, &(struct queue_call){.action = action, .input = &in, .queue = name}, NULL);
    }
    queue_client_done(&client);
    if (code == EXIT_CODE_DONE) {
        (void)printf("queue %s: %s%lld messages deleted\n", name,
                     action == SQS_DELETE_QUEUE ? "removed, " : "", (long long)count);
    }
    return code;
}

int queue_purge(int argc, char **argv)
{
    return remove_messages(argc, argv, SQS_PURGE_QUEUE, "sluice queue purge", purge_usage);
}

int queue_rm(int argc, char **argv)
{
    return remove_messages(argc, argv, SQS_DELETE_QUEUE, "sluice queue rm", rm_usage);
}
