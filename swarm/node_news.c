#include "node_news.h"

#include "node_look.h"
#include "node_say.h"

void node_read_news(struct node *n)
{
    struct sink in = node_inner(n);
    enum member_news kind;
    int i;
    while (members_news(&n->members, &kind, &i)) {
        sid s = n->members.members[i].sid;
        n->links_changed = n->links_changed || kind != NEWS_PROGRESS;
        switch (kind) {
        case NEWS_LINKED:
            reduce_link(&n->reduce, s, node_path(n, i), n->now, &in);
            match_link(&n->match, s, n->now, &in);
            n->cell_stale = true;
            break;
        case NEWS_UNLINKED:
            reduce_link(&n->reduce, s, (struct reduce_path){0}, n->now, &in);
            sync_gone(&n->sync, s, n->now, &in);
            break;
        case NEWS_ENDED:
            reduce_gone(&n->reduce, s, n->now, &in);
            break;
        case NEWS_GONE:
            match_gone(&n->match, s, n->now, &in);
            reduce_gone(&n->reduce, s, n->now, &in);
            sync_gone(&n->sync, s, n->now, &in);
            n->cell_stale = true;
            break;
        case NEWS_PROGRESS:
        case NEWS_CHANGED:
            n->cell_stale = true;
            break;
        }
    }
}
