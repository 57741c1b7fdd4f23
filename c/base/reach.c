#include "base/reach.h"

#include "base/link.h"

const char *reach_word(enum reach_reason reason)
{
    static const char *const words[REACH_REASONS] = {
        [REACH_SILENT] = "no answer",
        [REACH_KEY] = "wrong key",
        [REACH_RUN] = "other experiment",
        [REACH_VERSION] = "other version",
        [REACH_FAMILY] = "other address family",
        [REACH_FULL] = "full",
        [REACH_NAME] = "name does not resolve",
        [REACH_CLONE] = "our own key",
        [REACH_NOWHERE] = "no address known",
        [REACH_OTHER] = "refused",
    };
    return (unsigned)reason < REACH_REASONS ? words[reason] : "another reason";
}

enum reach_reason reach_reason_of(uint32_t code, bool up)
{
    switch (code) {
    case CLOSE_WRONG_KEY:
        return REACH_KEY;
    case CLOSE_RUN:
        return REACH_RUN;
    case CLOSE_VERSION:
    case CLOSE_ALPN:
    case CLOSE_QUIC_VERSION:
        return REACH_VERSION;
    case CLOSE_FAMILY:
        return REACH_FAMILY;
    case CLOSE_BUSY:
        return REACH_FULL;
    case CLOSE_CROWDED:
        return up ? REACH_REASONS : REACH_FULL;
    case CLOSE_SELF:
        return REACH_CLONE;
    case CLOSE_REFUSED:
        return REACH_OTHER;
    case CLOSE_OK:
    case CLOSE_DUPLICATE:
    case CLOSE_LEAVING:
        return REACH_REASONS;
    case CLOSE_TIMEOUT:
    case CLOSE_IDLE:
    case CLOSE_GONE:
    case CLOSE_RESET:
        return up ? REACH_REASONS : REACH_SILENT;
    default:
        return up ? REACH_REASONS : REACH_OTHER;
    }
}
