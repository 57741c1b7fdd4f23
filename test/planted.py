"""planted.py -- which of the planted bugs to try: for the two mutate.py."""
import sys


def choose(all_bugs, name_of, words):
    """Those whose name has one of `words` in it, or all without words; after --third N each third one, from the N-th (0 .. 2).
    Returns them, and what to call them."""
    words, third = list(words), None
    if "--third" in words:
        at = words.index("--third")
        number = words[at + 1] if at + 1 < len(words) else ""
        if number not in ("0", "1", "2"):
            sys.exit("mutate: --third takes 0, 1 or 2, not '%s'" % number)
        third = int(number)
        del words[at:at + 2]
    chosen = [bug for bug in all_bugs if not words or any(w in name_of(bug) for w in words)]
    if third is not None:
        chosen = chosen[third::3]
    return chosen, "%d of %d planted bugs" % (len(chosen), len(all_bugs))
