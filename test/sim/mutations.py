"""mutations.py -- the planted bugs of `zig build mutate`: which text of which file becomes what."""

MUTATIONS = [
    dict(name="two signatures in one attempt", file="swarm/match.c",
         old="    next_attempt(m, attempt, now, out);\n}\n\n/* Looks whether",
         new="    m->accepted = 0;\n    m->state = MATCH_CLOSED;\n    propose(m, true, now, out);\n}\n\n/* Looks whether"),
    dict(name="an owner adds its own contribution twice", file="swarm/reduce.c",
         old="        outer_accumulate(r->accumulator, wire, n, (float)weight);",
         new="        outer_accumulate(r->accumulator, wire, n, (float)weight);\n"
             "        if (i == self_of(r)) outer_accumulate(r->accumulator, wire, n, (float)weight);"),
    dict(name="whoever has frozen does not compare", file="swarm/reduce.c",
         old="    if (alike) agree(r, false, out);", new="    agree(r, false, out);"),
    dict(name="the lighter lineage wins", file="swarm/lineage.c",
         old="return tokens_a > tokens_b;", new="return tokens_a < tokens_b;"),
    dict(name="an average is applied twice", file="swarm/node.c",
         old=".note.hex = {\"digest\", bytes_of(n->state.digest, 32)}});\n    to_train(n);",
         new=".note.hex = {\"digest\", bytes_of(n->state.digest, 32)}});\n    enter(n, LIFE_REDUCE);"),
    dict(name="members in the order they were heard of", file="swarm/match.c",
         old="to[at - 1].sid > one.sid", new="to[at - 1].sid > one.sid && false"),
    dict(name="a group of a minority", file="swarm/match.c",
         old="return 2 * in > all || (2 * in == all && least_in);", new="return true || least_in;"),
    dict(name="nobody refutes", file="swarm/member.c",
         old="    outgrow(m, m->incarnation);\n    return true;", new="    return true;"),
    dict(name="everybody claims to be in the mean", file="swarm/reduce.c",
         old="r->in[c] = mask >> self_of(r) & 1;", new="r->in[c] = 1;"),
    dict(name="a part of a state is taken unseen", file="swarm/sync.c",
         old="good = memcmp(digest, s->leaves + (size_t)chunk * CRYPTO_DIGEST_BYTES, sizeof digest) == 0;",
         new="good = true;"),
]
