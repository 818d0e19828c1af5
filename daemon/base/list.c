#include "sluice/base/list.h"

void list_init(struct list *list)
{
    list->head.prev = &list->head;
    list->head.next = &list->head;
    list->count = 0;
}

static void list_link(struct list *list, struct list_node *before, struct list_node *node)
{
    SL_ASSERT(node->next == NULL && node->prev == NULL);
    node->next = before;
    node->prev = before->prev;
    before->prev->next = node;
    before->prev = node;
    list->count++;
}

void list_push(struct list *list, struct list_node *node)
{
    list_link(list, &list->head, node);
}

void list_push_front(struct list *list, struct list_node *node)
{
    list_link(list, list->head.next, node);
}

void list_insert_before(struct list *list, struct list_node *before, struct list_node *node)
{
    list_link(list, before, node);
}

void list_remove(struct list *list, struct list_node *node)
{
    SL_ASSERT(node->next != NULL && list->count > 0);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = NULL;
    node->prev = NULL;
    list->count--;
}

struct list_node *list_first(const struct list *list)
{
    return list->count == 0 ? NULL : list->head.next;
}

struct list_node *list_pop(struct list *list)
{
    struct list_node *node = list_first(list);
    if (node != NULL) {
        list_remove(list, node);
    }
    return node;
}

bool list_is_linked(const struct list_node *node)
{
    return node->next != NULL;
}
